"""Weights: stations whose networks have other shapes than the server's."""
