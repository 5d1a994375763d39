"""Vaults of the Managed Agents API: credentials for the tool servers of sessions."""
