"""How the Fleet API is called and served: HTTP and gRPC, signatures, the objects of a message."""
