"""One small file per verb: parse, call the library, print.

Flags are the fields of the options class in the package that does the work, such as ``laws/workflow/options.py``.
"""
