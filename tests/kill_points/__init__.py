"""Servers that are killed at every write to the store, and what the next request finds."""
