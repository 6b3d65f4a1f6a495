"""Taped: train, evaluate, state and an exception, in the API that all releases have."""
