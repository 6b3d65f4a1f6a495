"""What Flower's Fleet API says; `proxy.transport` calls it and serves it.

releases     what differs between Flower releases: one table
messages     messages, object trees, error replies
inline       messages that have their content in them, until flwr 1.20
replies      what a SuperLink checks of a reply
contents     a message's content, whatever its id and its times
metrics      a reply's metrics
wire         messages field by field, by number; `encoding` has protobuf's own
one_reading  that no two readers understand an encoded message differently
"""
