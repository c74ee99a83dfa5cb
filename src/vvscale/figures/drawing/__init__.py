"""From the description of a figure to matplotlib and to files."""
