"""Tabular: logistic regression on tables that stay where they are."""
