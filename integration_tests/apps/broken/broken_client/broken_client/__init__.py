"""Broken client: the ClientApp's module cannot be imported."""
