"""Architectures by name: their families, designs and layers.

A built-in one is added in ``names.py``, a new family also in ``designs.py`` and ``families.py``; a network of one's own
needs no change here: ``register_architecture``, or ``file.py:NAME``.
"""
