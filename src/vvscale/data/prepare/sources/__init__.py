"""What lies in a source of images: layouts of public data sets, lists, folders of classes, shards.

A new layout is added to ``LAYOUTS`` (``layouts.py``).
"""
