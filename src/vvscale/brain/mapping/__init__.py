"""How scores grow with the recordings that a mapping is fitted on: images, neuroids and repetitions."""
