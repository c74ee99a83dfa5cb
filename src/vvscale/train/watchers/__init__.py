"""What watches a training run: trackers and alignment during training."""
