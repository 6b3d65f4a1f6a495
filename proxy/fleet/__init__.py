"""Flower's Fleet API, from both ends.

releases     what differs between Flower releases: one table
messages     messages, object trees, error replies
server       serving it to a SuperNode
superlink    calling it on a SuperLink; `connect` finds out how
http, grpc   the two transports, both ends of each
wire         messages field by field, by number
node_key     how calls are signed
identity     SuperNodes that a SuperLink was told of: their keys on disk
"""
