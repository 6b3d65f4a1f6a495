"""Handwritten digits again, but every station reads its images from a table of its own."""
