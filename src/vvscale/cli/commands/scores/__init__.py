"""The score table on the command line: what is known, downloads, one model, other formats."""
