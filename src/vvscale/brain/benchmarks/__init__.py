"""What a benchmark is: stimuli, recordings, metric and ceiling; the reference formats and the public five."""
