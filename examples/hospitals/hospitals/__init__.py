"""Hospitals: sites that a job includes or excludes by name."""
