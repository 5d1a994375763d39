"""The same client for asyncio, on `httpx2`:

    from baton_client import TextEvent
    from baton_client.asynchronous import AsyncBatonClient

    async with AsyncBatonClient("http://127.0.0.1:8080") as baton:
        session = await baton.create_session()
        async with await baton.run(session["id"], "What is in this directory?", agent="coder") as run:
            async for event in run:
                if isinstance(event, TextEvent):
                    print(event.text, end="")

Its promises, events and errors are those of `baton_client`. An `AsyncBatonClient` belongs to one event loop; tasks may
share it.
"""

from .baton_client import AsyncBatonClient
from .run_stream import AsyncRunStream

__all__ = ["AsyncBatonClient", "AsyncRunStream"]
