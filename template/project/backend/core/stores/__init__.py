"""Where the conversations are kept, and what locks a thread."""
