"""Decode a data set once into one flat image store: layouts, listing, passes, manifest."""
