"""Secagg: secure aggregation, which takes four messages a round and keeps state between them."""
