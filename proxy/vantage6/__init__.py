"""The REST API of a vantage6 4.x server, as the bridge needs it: no vantage6 package is imported.

`server` speaks it, `login` says who speaks, `encryption` is what an encrypted collaboration does to
inputs and results.
"""
