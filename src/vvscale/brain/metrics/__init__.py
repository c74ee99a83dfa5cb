"""Metrics between a layer and recordings, on arrays: regressions and similarities, and what each needs of a layer.

No file, model or benchmark is known here.
"""
