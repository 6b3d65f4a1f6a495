"""Unseeded: a server whose messages are drawn at random."""
