"""Figures about a process for its operators: numbers and traces. Knows nothing of the rest; the code that does
something reports it."""
