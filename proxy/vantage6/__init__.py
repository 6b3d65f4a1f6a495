"""vantage6, a platform for each generation."""
