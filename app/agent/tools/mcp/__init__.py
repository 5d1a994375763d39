"""Tool servers that speak the Model Context Protocol. Importing the package `mcp` takes a second, so nothing here does
it but `connection`, with the modules that only it imports: `answers`, `messages`, `pipes`, `statuses`, `streams`."""
