"""Nosy: what an app can see of its surroundings."""
