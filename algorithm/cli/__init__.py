"""The command flower-v6: a module for each command; `vantage6` has those of a researcher there.

Each command's module has `add(commands)`, which adds its options, and names the function that runs
it: that takes the options and the screen, and returns the exit code if it is not 0.
"""

from algorithm.cli.main import main

__all__ = ["main"]
