"""What a command reads, checked before it is read or anything is written beside it."""
