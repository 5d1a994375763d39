"""Requests to a run, and looks at it, while it is at work: steers, stops, waits, re-attached readers."""
