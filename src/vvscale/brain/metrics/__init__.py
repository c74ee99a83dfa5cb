"""Metrics between a layer and recordings, on arrays: regressions and similarities, and what each needs of a layer.

A new metric is a file here and a line in ``METRICS`` (``metric.py``). Fixed are the numbers of the existing metrics
(``tests/oracle``), their names and settings, which stand in users' files, the names that ``vvscale.brain`` exports
(``tests/unit/test_brain_imports.py``), and the members of ``Metric``, ``Target`` and ``Outcome``, which users' own
metrics have; everything else may change. Any change of code here changes the keys of the score cache. No file, model or
benchmark is known here.
"""
