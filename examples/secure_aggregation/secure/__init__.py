"""Secure: the server sees the sum of what the stations learned, and nobody's share of it."""
