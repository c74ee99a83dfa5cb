"""Claims about scaling: what is said, in a data file; what the rows say, measured; and a ruling on each."""
