"""Ported: the scripts in `before`, as an app."""
