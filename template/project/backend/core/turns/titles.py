"""A thread's title, made by the model beside the first answer; until then its first words stand."""

import asyncio
import logging

from agents import Agent, RunConfig, Runner
from chatkit.store import NotFoundError
from chatkit.types import ThreadMetadata, UserMessageItem

from core.context import RequestContext
from core.models.provider import Models
from core.protocol.messages import TITLE_LENGTH, text_of, title_of
from core.stores.base import BaseStore
from core.turns.failures import log_line
from core.turns.running import Turns

log = logging.getLogger("app")

TITLE_SECONDS = 20.0
"""How long the model may take for a title."""
MESSAGE_CHARACTERS = 2000
"""How much of the message the model is told for it."""

agent = Agent[None](
    name="Titles",
    instructions=(
        "You name conversations. The user gives you the first message of one. Do not answer it: "
        f"write a title of at most six words and {TITLE_LENGTH} characters, in the message's "
        "language, without quotation marks, and nothing else."
    ),
)


class Titles:
    """Makes titles in tasks of their own: an answer neither waits for one nor fails with it."""

    def __init__(self, store: BaseStore, turns: Turns, models: Models) -> None:
        self._store = store
        self._turns = turns
        self._models = models
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(
        self, thread: ThreadMetadata, message: UserMessageItem, context: RequestContext
    ) -> None:
        """Make a title for a new thread out of its first message's words, if it has any."""
        if text := text_of(message).strip():
            making = self._make(thread.id, title_of(message), text[:MESSAGE_CHARACTERS], context)
            task = asyncio.create_task(making)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up the titles that are being made."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, thread_id: str, first: str, text: str, context: RequestContext) -> None:
        try:
            title = title_in(await asyncio.wait_for(self._ask(text), TITLE_SECONDS))
            if title is not None:
                await self._give(thread_id, first, title, context)
        except NotFoundError:
            pass  # The thread has been deleted meanwhile.
        except Exception as error:
            log.warning("request %s: no title was made: %s", context.request_id, log_line(error))

    async def _ask(self, text: str) -> str:
        config = RunConfig(model_provider=self._models)
        run = Runner.run_streamed(agent, text, max_turns=1, run_config=config)
        try:
            async for _ in run.stream_events():
                pass
        finally:
            run.cancel()
        return str(run.final_output)

    async def _give(self, thread_id: str, first: str, title: str, context: RequestContext) -> None:
        async with self._turns.changing(thread_id, context):
            thread = await self._store.load_thread(thread_id, context)
            # Whatever else stands there is the user's own.
            if thread.title in (None, first):
                thread.title = title
                await self._store.save_thread(thread, context)
                # The turn under way sends it, and does not save the first one over it.
                self._turns.renamed(thread_id, title, context)


def title_in(answer: str) -> str | None:
    """The title in the model's answer, or None if that is something else than a title."""
    title = answer.strip().strip("\"'“”„«»*#").removesuffix(".").strip()
    return title if 0 < len(title) <= TITLE_LENGTH and title.isprintable() else None
