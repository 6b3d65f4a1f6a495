"""vantage6 5.x: its REST API, its login, its sessions, and what a container finds and leaves."""
