"""Files of the Managed Agents API: those of clients, and those that sessions have and make."""
