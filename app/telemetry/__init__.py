"""What operators see of a process: numbers and traces. Knows nothing of the rest; whoever does something says so."""
