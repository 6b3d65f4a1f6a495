"""The journal of a central: what happened to its messages, kept so that a successor goes on.

    journal                 a record for each event (`proxy.system.records`); its lock, too
    replies/HASH.bundle     reply bundles that may be needed again, by station and message
    pulled/KEY              the message that a station has under way, from a SuperLink that lives on
    outlines/KEY            what is needed to ask a station for its last message, of a run
    stations/KEY/           bundles on their way
    work/                   what else a run needs to survive
    spare                   1 MiB of room: it is removed to note something on a full disk

A record is on the disk before what hangs on it is done: that a message was pulled before anything
is done for it (of a run: before a station gets it), its answer and the reply bundle before the
SuperLink gets a byte of it. The others only say how far it had come; what a power cut takes of them
is done again, which does no harm.

There are two kinds. Where the SuperLink lives on (`flower-v6 attach`), a successor finishes what
was under way, and nothing is kept of a message that has its reply. Where it dies with the central
(`begin` was called), the ServerApp starts anew and sends its messages again, and the journal
answers those that it knows (`replay`), in the order of before (`turns`): so all replies are kept,
until the run's end.
"""
