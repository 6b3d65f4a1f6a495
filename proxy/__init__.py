"""The bridge: Flower's Fleet messages, stored and forwarded where no live connection may be.

A real SuperLink talks to a `CentralProxy`, which impersonates one SuperNode for each station.
A real SuperNode talks to a `ClientProxy`, which impersonates the SuperLink. Between the two there
is no connection, only files:

    SuperLink <- Fleet API -> CentralProxy
                                  |    ^
               instruction bundle v    | reply bundle
                              ClientProxy <- Fleet API -> SuperNode

All that a SuperNode would fetch for one message (message, object tree, objects, run, FAB) travels
as one instruction bundle; all that it would push back travels as one reply bundle. A `Carrier`
moves bundles; it knows nothing of Flower, and the two proxies know nothing of it.
docs/architecture.md has the folders.

No module here imports `flwr`: Flower is reached only through its wire and its command lines.
"""

__version__ = "0.1.0"
