"""Faults: stations that sleep or crash and a server that fails, all on purpose."""
