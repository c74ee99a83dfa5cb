"""Recordings as values, and the reference's files of them: responses, choices, and the stimuli they were made with."""
