"""What every figure is made of: the registry, tables, cached fits, statistics, marks."""
