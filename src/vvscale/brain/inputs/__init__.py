"""From a stimulus file to the batch that a model sees: placement on the screen, preprocessing, batches."""
