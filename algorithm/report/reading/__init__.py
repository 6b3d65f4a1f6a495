"""What a run left behind, read: its results, its logs, and what is known of one that was killed."""
