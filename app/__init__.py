"""Baton: an HTTP server for Claude agents. Nothing is imported here; `app.factory` puts the parts together."""
