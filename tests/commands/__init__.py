"""The `baton` command, as a shell sees it: its output, and its exit code."""
