"""The agent: its model, its tools, its loop."""
