"""Networks on the command line: prepare images, train, fine-tune on recordings, train readouts."""
