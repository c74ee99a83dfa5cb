"""The 43 published fits of Gokce & Schrimpf (2025), and their reproduction."""
