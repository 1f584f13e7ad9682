"""Who asks, and how much."""
