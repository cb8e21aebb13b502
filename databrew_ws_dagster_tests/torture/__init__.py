"""Faults that take minutes or root, against the real command: `make torture` runs them."""
