"""Compat app: the same source on every release of Flower that the bridge supports."""
