"""One run from start to outcome: on its own SuperLink, in direct mode, or attached to another."""
