"""How sure a fit is: resamples, bootstrap, profiles, refits, prediction intervals."""
