"""Doors to services of others, off by default."""
