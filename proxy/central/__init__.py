"""The central's side: virtual SuperNodes, and the life of each message they get."""
