"""Arrivals: what a server makes of replies depends on which came first, and which in time."""
