"""The figures of CCN 2024 and ICML 2025: presets that ask for the papers' rows and laws."""
