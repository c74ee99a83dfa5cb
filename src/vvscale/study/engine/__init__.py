"""Where tasks run: on Parsl, which starts workers here or through a scheduler; only this folder knows it."""
