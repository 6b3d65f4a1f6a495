"""A conversation with a Grid: all of its methods, in every form."""
