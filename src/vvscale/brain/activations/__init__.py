"""Activations of all layers from one pass over the images, within a budget of memory."""
