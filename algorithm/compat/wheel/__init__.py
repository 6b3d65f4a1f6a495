"""What a release of Flower publishes, read from its wheel without importing or running it."""
