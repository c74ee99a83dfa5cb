"""One small file per verb, in the folder of the package that does its work: parse, call the library, print.

Flags are the fields of the options class in that package, such as ``laws/workflow/options.py``.
"""
