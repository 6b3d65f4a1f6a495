"""Digits with Lightning: a LightningModule that several stations train together."""
