"""Workers that share the tasks of a study folder."""
