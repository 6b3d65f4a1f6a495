"""The direct mode: an app's ServerApp and ClientApps without SuperLink, SuperNode and SuperExec.

    ServerApp ── run_serverapp ── LinkState ── CentralProxy ──carrier── ClientApp ── run_clientapp
    └ Flower's interpreter ───┘  └ the bridge                        ┘  └ Flower's interpreter ──┘

The scripts `run_serverapp.py` and `run_clientapp.py` are executed by the interpreter of Flower's
environment; they are all that imports `flwr`, and import nothing of the bridge. Over a socket pair
(`script`) they exchange whole Flower Messages with it. Between the two ends everything is as in
bridge mode: virtual SuperNodes, bundles, carriers, partial functions, policy, report.
"""
