"""What is stored, for the developer's eyes: /debug/threads shows it while DEBUG is true."""

from typing import Any

from app.context import RequestContext
from app.protocol import ProtocolServer

THREADS = 20
ITEMS = 50


async def stored_threads(server: ProtocolServer, context: RequestContext) -> dict[str, Any]:
    """The caller's newest threads with their newest items, hidden ones too, and the feedback."""
    threads = await server.store.load_threads(THREADS, None, "desc", context)
    shown: list[dict[str, Any]] = []
    for thread in threads.data:
        items = await server.store.load_thread_items(thread.id, None, ITEMS, "desc", context)
        feedback = await server.store.load_feedback(thread.id, context)
        shown.append(
            thread.model_dump(mode="json")
            | {"items": [item.model_dump(mode="json") for item in reversed(items.data)]}
            | {"feedback": feedback}
        )
    return {"threads": shown}
