"""Flower's Fleet API, from both ends.

releases     what differs between Flower releases: one table
messages     messages, object trees, error replies
server       serving it to a SuperNode
superlink    calling it on a SuperLink, over a transport: http
"""
