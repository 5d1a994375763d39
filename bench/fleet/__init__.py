"""Many processes on one PostgreSQL: `python -m bench.fleet`."""
