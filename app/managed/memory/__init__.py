"""Memory stores of the Managed Agents API: texts that outlive sessions."""
