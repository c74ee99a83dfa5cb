"""A study as a graph of tasks whose ids are digests of their content."""
