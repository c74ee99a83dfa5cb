"""From a model and benchmarks to rows of the score table: layers, session, cache, adapters."""
