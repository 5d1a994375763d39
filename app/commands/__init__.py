"""The `baton` command: one module for each group of commands. All but `serve`, `check` and `db` ask a server."""
