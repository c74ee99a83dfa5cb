"""What a network learns to do: one file per objective, each a module from images to a loss."""
