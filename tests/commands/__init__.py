"""The `baton` command, as a shell sees it: what it prints, and how it exits."""
