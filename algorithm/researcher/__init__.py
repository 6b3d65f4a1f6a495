"""A user of a vantage6 server: who they are, what they submit, watch and bring home."""
