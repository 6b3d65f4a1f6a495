"""What vantage6 runs, and what runs Flower: partial functions, Flower's processes, the command.

`python -m algorithm` is the program in a container (and, with the embedded carrier, beside it):
it reads the container's contract, calls the function that the input names, and writes the result.

    courier, host, per_round   the partial functions; `job` is what they share at a station
    flower, supernode          Flower's programs and processes
    cli, run, attach           the command flower-v6
"""
