"""One page that explores a table, offline."""
