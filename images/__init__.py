"""What a vantage6 algorithm image is made of; `flower-v6 image` builds it from here."""
