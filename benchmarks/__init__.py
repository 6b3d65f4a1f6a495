"""The bridge beside native Flower, on this machine: `python -m benchmarks` (`make benchmark`)."""
