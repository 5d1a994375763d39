"""Baton as it is run: under gunicorn's signals and limits, behind nginx."""
