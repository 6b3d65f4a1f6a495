"""Runs in which processes are killed at random; `make kills`."""
