"""The machine: processes, files that survive a power cut, and who may reach them."""
