"""Adaptive: a strategy that watches the loss and changes the learning rate."""
