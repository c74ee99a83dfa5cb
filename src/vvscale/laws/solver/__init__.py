"""The global optimum of a law on many resamples at once. No law is named here."""
