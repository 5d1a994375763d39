"""Threads and locks: who may write to a session, and the thread that does."""
