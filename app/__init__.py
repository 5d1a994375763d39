"""Baton: an HTTP server for Claude agents. Imports nothing; `app.factory` puts the parts together."""
