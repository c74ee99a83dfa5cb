"""Recordings prepared once into one file per data set: its layout, readers of public raw files, benchmarks from it."""
