"""What `make` calls, in plain Python."""
