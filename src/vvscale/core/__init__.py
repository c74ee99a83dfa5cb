"""Plumbing that knows no science: configuration, files written whole, downloads, registries.

It imports only ``vvscale.errors``.
"""
