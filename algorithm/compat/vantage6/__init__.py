"""Whether a release of vantage6 can be used: by what its wheels publish."""
