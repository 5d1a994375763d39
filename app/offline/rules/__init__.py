"""The rules of the Messages API, one subject per file; `app.offline.judge` applies them in order."""
