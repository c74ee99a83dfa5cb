"""One law against others: candidates, information criteria, hold-outs, coverage, sensitivity."""
