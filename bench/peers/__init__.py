"""Servers that a user would take instead of Baton, each as its makers document it, in an environment of its own."""
