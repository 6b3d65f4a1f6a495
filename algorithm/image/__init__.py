"""An app's vantage6 algorithm image, and its entry for an algorithm store."""
