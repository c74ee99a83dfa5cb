"""Scores of vision models against the primate ventral stream."""
