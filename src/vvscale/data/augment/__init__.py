"""Batched augmentation whose draws depend only on seed, epoch and image."""
