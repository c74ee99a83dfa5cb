"""Recordings prepared once into one file per data set: its layout, readers of public raw files, benchmarks from it.

A new data set of raw public files is a reader here, a file such as ``tvsd.py``, and an entry of ``SETS`` (``sets.py``).
"""
