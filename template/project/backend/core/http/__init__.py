"""HTTP: the routes, who may call them from where, and the served page."""
