"""A module for each parser: what it parses, what it may raise, and what it is tried with."""
