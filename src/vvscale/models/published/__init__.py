"""Published checkpoints: where they are, how they are read without running them."""
