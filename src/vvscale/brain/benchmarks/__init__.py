"""What a benchmark is: stimuli, recordings, metric, design and ceiling, as a value or a TOML file; the public five.

A benchmark of one's own needs no change here: a TOML file (``described.py``), ``file.py:NAME``, or an entry point of
the group ``vvscale.benchmark``. A built-in one is made in a file here and named in ``vvscale.brain.catalogue``.
"""
