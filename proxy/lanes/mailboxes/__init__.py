"""What letters lie in: a folder, a broker's topics, or a server at the central."""
