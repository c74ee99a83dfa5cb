"""Brain scores on the command line: prepare recordings, check benchmarks, score models."""
