"""A tool server with two tools. It speaks MCP over its pipes, so start it from an agent file."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

server = MCPServer("library", instructions="Spell titles as find_books does.", log_level="WARNING")
books = {"Walden": "", "Middlemarch": "", "Moby-Dick": "Ada"}  # title: the reader who has it


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def find_books(words: str) -> str:
    """Lists the titles that contain these words, and says who has each book."""
    found = [title for title in books if words.lower() in title.lower()]
    return "\n".join(f"{title}: {books[title] or 'on the shelf'}" for title in found) or "No such book."


@server.tool()
def lend_book(title: str, reader: str) -> str:
    """Lends a book to a reader for two weeks."""
    if title not in books:
        raise ToolError(f"There is no book called {title!r}.")
    if books[title]:
        raise ToolError(f"{title} is lent to {books[title]}.")
    books[title] = reader
    return f"{title} is lent to {reader} for 14 days."


if __name__ == "__main__":
    server.run()
