"""A small tool server for the tests; as a program it speaks over its pipes."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel

from tests.agent.tools.pictures import png


class Answer(BaseModel):
    colour: str


def make(**options: object) -> MCPServer:
    server = MCPServer("tests", instructions="Use these well.", log_level="CRITICAL", **options)  # type: ignore[arg-type]

    @server.prompt()
    def review(path: str, style: str = "strict") -> str:
        """Asks for a review."""
        return f"Review {path}, {style}."

    @server.prompt()
    def wordless() -> str:
        raise ToolError("it has no words")

    @server.tool(annotations=ToolAnnotations(title="Echo", read_only_hint=True))
    def echo(text: str, more: str = "") -> str:
        """Says it again."""
        return text + more

    @server.tool()
    def where() -> str:
        return f"{os.getcwd()} {os.environ.get('GREETING', '')} {os.environ.get('ANTHROPIC_API_KEY', '-')}"

    @server.tool()
    def fail() -> str:
        raise ToolError("it does not work")

    @server.tool()
    def die() -> str:
        os._exit(3)

    @server.tool()
    async def hang(mark: str = "") -> str:
        """Makes the file `mark`, if it is named, and never answers."""
        if mark:
            Path(mark).touch()
        await anyio.sleep(600)
        return "never"

    @server.tool()
    async def meet(folder: str, mark: str, wait_for: str) -> str:
        """Leaves a mark, and waits for another's."""
        Path(folder, mark).touch()
        while not Path(folder, wait_for).exists():
            await anyio.sleep(0.01)
        return mark

    @server.tool()
    def picture() -> Image:
        return Image(data=png(2, 2), format="png")

    @server.tool()
    async def ask(ctx: Context) -> str:
        answer = await ctx.elicit("Which colour?", Answer)
        if answer.action != "accept":
            return f"none: {answer.action}"
        return f"painted {answer.data.colour}"

    @server.tool()
    async def pay(folder: str, ctx: Context) -> str:
        """Asks, pays, and is not done before there is a file `receipt`."""
        await ctx.elicit("Sure?", Answer)
        Path(folder, "paid").touch()
        while not Path(folder, "receipt").exists():
            await anyio.sleep(0.01)
        return "paid"

    @server.tool()
    async def grow(ctx: Context) -> str:
        """From now on there is another tool."""
        server.add_tool(lambda: "new", name="grown", description="Was not there before.")
        await ctx.session.send_tool_list_changed()
        return "grown"

    @server.tool()
    async def step(times: int, pause: float, ctx: Context) -> str:
        """Shows signs of life."""
        for number in range(times):
            await ctx.report_progress(number, times)
            await anyio.sleep(pause)
        return "done"

    return server


if __name__ == "__main__":
    make().run("stdio")
