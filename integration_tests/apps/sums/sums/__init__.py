"""Sums: FedAvg of numbers whose sum depends on the order in which they are added."""
