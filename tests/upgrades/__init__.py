"""Databases and processes of an earlier version: they migrate, and old and new processes work side by side."""
