"""The messages that the bridge reads and writes: Flower's Fleet API, the bundle's and the tape's.

`*_pb2.py` and `*_pb2.pyi` are generated from the `.proto` files beside them by `make protos`.
"""
