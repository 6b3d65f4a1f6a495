"""Lanes: sealed letters to and from stations that stay, and the stores and brokers they lie in."""
