"""What vantage6 runs, and what runs Flower: partial functions, Flower's processes, the command.

`python -m algorithm` is the program in a container, and beside it on one machine: it reads the
container's contract, calls the function that the input names, and writes the result.
docs/architecture.md has the folders.
"""
