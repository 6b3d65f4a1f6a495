"""What a vantage6 task names: one module for each function, called by `algorithm.__main__`.

Nothing is imported here: a courier must start quickly.
"""
