"""Flower's Fleet API: what each release speaks (`releases`), its messages (`messages`), serving it
to a SuperNode (`server`), calling it on a SuperLink (`superlink`, over a transport: `http`)."""
