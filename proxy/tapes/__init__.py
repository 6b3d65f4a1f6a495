"""Recording what Flower's parts say to each other, and replaying it against the bridge."""
