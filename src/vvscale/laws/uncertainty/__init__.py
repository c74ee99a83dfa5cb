"""How sure a fit is: resamples, bootstrap, jackknife, mixed model, profiles, prediction intervals."""
