"""The loop that asks the model and calls the tools. Knows no thread, no database, no HTTP server."""
