"""The backend: a message goes route -> server -> history -> model -> stream -> store."""
