"""Digits: stations learn to read handwritten digits together, without showing them."""
