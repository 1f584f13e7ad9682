"""A turn, from the user's message to the stored answer."""
