"""The figures of CCN 2024 and ICML 2025."""
