"""Unruly: does to its process what apps do to theirs."""
