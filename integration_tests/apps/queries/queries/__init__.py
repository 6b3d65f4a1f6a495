"""Queries: federated statistics, with message types that the app defines itself."""
