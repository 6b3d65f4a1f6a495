"""A letter: its head, its seal, and the keys that make and break it."""
