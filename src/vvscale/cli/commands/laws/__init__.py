"""Scaling laws on the command line: fit, plan, design, reproduce the papers and check their claims."""
