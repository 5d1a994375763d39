"""The tools an agent can be given, one file per toolset."""
