"""Architectures by name: their families, designs and layers."""
