"""From a joint law to a compute budget: cost, optimum, targets.

``allocate.py`` is the mathematics of the best allocation, ``plan.py`` one budget with its intervals, ``budget.py`` what
users call, ``design.py`` what to train next, ``purchase.py`` compute against recordings at stated prices.
"""
