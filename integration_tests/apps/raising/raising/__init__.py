"""Raising: an exception at one station is an error reply, and the run goes on."""
