"""Analytics: federated statistics, without any model."""
