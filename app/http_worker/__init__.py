"""gunicorn's threaded worker, with the reading of requests taken off its threads."""
