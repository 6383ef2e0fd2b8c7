"""The endpoints, a module per noun; each gives its routes."""
