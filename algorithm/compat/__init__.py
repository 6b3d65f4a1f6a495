"""Whether the bridge speaks a release of Flower: read from what it publishes, and tried out."""
