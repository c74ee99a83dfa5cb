"""Decode a data set once into one flat image store: from a listing over passes to a manifest."""
