"""What a benchmark is: stimuli, recordings, metric, design and ceiling, as a value or a TOML file; the public five."""
