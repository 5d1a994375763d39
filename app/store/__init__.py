"""Sessions, runs and messages in SQL. The only place that knows SQLAlchemy."""
