"""The machine: processes, files that survive a power cut, and who may reach them."""

# How long a process may take to end by itself before it is killed.
GRACE_SECONDS = 3.0
