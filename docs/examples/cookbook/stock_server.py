"""A tool server (MCP) over the company's own data: here a table in a file, stock.json."""

import json
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

STOCK = Path("stock.json")

server = MCPServer("stock", log_level="WARNING")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def in_stock(item: str) -> int:
    """How many of an item are there."""
    return int(json.loads(STOCK.read_text()).get(item, 0))


@server.tool()
def take(item: str, count: int) -> str:
    """Takes some of an item out of the stock."""
    stock = json.loads(STOCK.read_text())
    if stock.get(item, 0) < count:
        raise ToolError(f"There are only {stock.get(item, 0)} of {item}.")
    stock[item] -= count
    STOCK.write_text(json.dumps(stock))
    return f"{stock[item]} left"


if __name__ == "__main__":
    server.run()
