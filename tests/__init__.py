"""The template's tests: what is rendered, and how it behaves."""
