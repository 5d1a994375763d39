"""Threads and locks: the right to write to a session, and the thread that does."""
