"""What fakes of vantage6 servers share, whatever the generation. For tests."""
