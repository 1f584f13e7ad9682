"""A server that goes on with a run which has waited for approvals."""

import logging
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, RunResultStreaming, TResponseInputItem, UserError
from chatkit.agents import AgentContext
from chatkit.types import (
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from core.context import RequestContext
from core.models.provider import Models
from core.models.source import ModelSource
from core.turns.approval_server import ApprovalServer
from core.turns.approvals import LOST, WAITING, Waiting
from core.turns.failures import failed_run
from core.turns.paused_run import (
    PausedRun,
    PausedState,
    ProgramChanged,
    begin,
    resumed,
    waiting_for,
)
from core.turns.turn_context import TurnContext
from core.turns.watched_run import Unanswered

log = logging.getLogger("app")


class ResumingServer(ApprovalServer):
    """Keeps runs with interruptions, and goes on with each exactly where it stood."""

    model_provider: Models

    @abstractmethod
    async def chosen(
        self, thread: ThreadMetadata, message: UserMessageItem | None, context: RequestContext
    ) -> tuple[Agent[Any], ModelSource]:
        """The agent and the model that answer. Raises CustomStreamError if there are none."""

    @abstractmethod
    def stream(
        self,
        agent: Agent[Any],
        given: list[TResponseInputItem] | PausedState,
        source: ModelSource,
        run_context: AgentContext[RequestContext],
        *,
        message_id: str | None = None,
        before: Unanswered | None = None,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Run the agent, or go on with a run of it."""

    async def ask_for(
        self,
        run_context: AgentContext[RequestContext],
        message_id: str | None,
        run: RunResultStreaming,
        unanswered: Unanswered,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Keep a run with interruptions, and show a card for each.

        Raises CustomStreamError for a run that cannot be kept.
        """
        thread, context = run_context.thread, run_context.request_context
        try:
            waiting = waiting_for(run, unanswered, message_id, run_context.generate_id)
        except UserError as error:
            raise failed_run(error, context, begun=True, api_key=None) from None
        async for event in self.ask(waiting, thread, context):
            yield event

    async def go_on(
        self, thread: ThreadMetadata, waiting_id: str, waiting: Waiting, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        message: Any = None
        if waiting.message_id is not None:
            message = await self.store.load_item(thread.id, waiting.message_id, context)
        agent, source = await self.chosen(thread, message, context)
        run_context = TurnContext(thread=thread, store=self.store, request_context=context)
        kept = PausedRun.model_validate(waiting.run)
        try:
            await self.model_provider.loaded(agent.model, source)
            state = await resumed(kept, agent, run_context, waiting.cards)
        except ProgramChanged as error:
            log.warning("request %s: a run cannot go on: %s", context.request_id, error)
            lost = self.drop(thread, waiting_id, waiting, context, outcome="lost", told=LOST)
            async for event in lost:
                yield event
            return
        except Exception as error:
            failure = failed_run(error, context, begun=False, api_key=source.key_name)
            # Nothing is decided yet, and the card can be pressed again.
            failure.allow_retry = False
            raise failure from None
        if self.turns.of(context).stop.is_set():
            return
        async for event in self.close_cards(thread, waiting_id, waiting, context):
            yield event
        for call, output in begin(waiting, kept):
            yield ThreadItemDoneEvent(item=call.item(thread, output))
        await self.store.delete_thread_item(thread.id, waiting_id, context)
        thread.metadata.pop(WAITING, None)
        running = self.stream(
            agent,
            state,
            source,
            run_context,
            message_id=waiting.message_id,
            before=kept.unanswered,
        )
        async for event in running:
            yield event
