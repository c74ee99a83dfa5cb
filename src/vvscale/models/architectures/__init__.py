"""Architectures by name: their families, configurations and layers.

A built-in one is added in ``names.py``, a new family also in ``configs.py`` and ``families.py``; a network of one's own
needs no change here: ``register_architecture``, or ``file.py:NAME``.
"""
