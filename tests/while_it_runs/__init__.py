"""What can be said to a run, and seen of it, while it is at work: steers, stops, waits, re-attached readers."""
