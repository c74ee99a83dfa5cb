"""From a joint law to a compute budget: cost, optimum, targets."""
