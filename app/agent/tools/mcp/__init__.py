"""Tool servers that speak the Model Context Protocol. `connection` imports the package `mcp`, and with `messages`,
`pipes` and `answers`, which only it imports, nothing else here does."""
