"""What each kind of task of a study does."""
