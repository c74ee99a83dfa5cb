"""How sure a fit is: resamples, bootstrap, jackknife, mixed model, profiles, prediction intervals.

``resample.py`` draws rows, architectures or other units for a bootstrap, ``bootstrap.py`` refits them.
"""
