"""Neural fine-tuning: a trained network is trained on, for its task and for recordings at once."""
