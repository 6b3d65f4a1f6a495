"""Flower on this machine: an environment, its apps, and what runs in its interpreter."""
