"""Tool servers that speak the Model Context Protocol. Nothing here imports the `mcp` package but `connection`."""
