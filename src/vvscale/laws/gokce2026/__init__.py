"""The curve fits of Gokce, Tang & Schrimpf (2026) as data: made in their form, and by our solver beside it."""
