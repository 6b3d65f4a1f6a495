"""Broken import: the ServerApp's module cannot be imported."""
