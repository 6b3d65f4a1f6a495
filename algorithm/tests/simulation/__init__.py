"""The whole bridge in one process: thousands of runs, each with other faults, in minutes.

A schedule has a central, its stations, a SuperLink and a ServerApp. The central is
`algorithm.runs.attach`, or a run that goes on from its journal, in bridge mode; a station is
`algorithm.station.resident.station` or the functions `host`, `courier` and `per_round`; with all
that they use, it is the code that users run. Time, threads, files, the network, the store behind a
lane and the SuperNode's process are simulated, and one seed chooses all that happens: who goes on,
what is lost, repeated, late, out of reach or full, and which process is killed, or which machine
loses its power, before any single call.

    scheduler   threads on a clock of their own; processes that are killed
    seams       where Python's modules are replaced by the simulation
    disk        files, and what of them survives a power cut
    faults      what goes wrong
    superlink, lanes, runtime, parts, app    the parts of a run
    world       what they share, and what is noticed at once
    schedule    one run, from a seed to its outcome, and what has to hold at its end
    pool        many of them, in several processes

What has to hold: no message is trained twice, nor is another one that says the same where a run
goes on; none has two replies, or the reply to another; an error reply has a cause; a run without
one ends with the model of an undisturbed run; all ends, and nothing is left.
`python -m algorithm.tests.simulation --seed N` tells what happened in schedule N.

Not modelled: the direct mode; a ServerApp that says something else when it starts anew; Flower
itself, processes (`proxy.system`), sealing, gRPC and HTTP, vantage6's server; SuperLinks of other
layouts than today's; a process that goes on though the central takes it for dead; damage to what
is on a disk; two clocks that run at different speeds. Python code is not interrupted between two
seams, so races of threads within one function are found only where it calls the system.
"""
