"""The commands of a researcher with a vantage6 server."""
