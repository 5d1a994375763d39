"""The Python client against real servers, real networks and real deaths."""
