"""Metrics of behaviour: choices of observers, a readout of object names, similarity judgements, decisions."""
