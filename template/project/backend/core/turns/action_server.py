"""A server that takes actions, of widgets and of the page: each is checked, its handler called."""

import logging
from collections.abc import AsyncIterator
from typing import Any

from chatkit.actions import Action
from chatkit.errors import CustomStreamError
from chatkit.types import (
    ChatKitReq,
    SyncCustomActionResponse,
    ThreadMetadata,
    ThreadsCustomActionReq,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
    WidgetItem,
)

from core.context import RequestContext
from core.errors import Refused
from core.sentences import Sentence
from core.stores.base import BaseStore
from core.turns.running import Turns
from core.turns.server import TurnServer
from core.turns.widget_actions import Actions, StreamingAction, SyncAction, check_action, payload_of

log = logging.getLogger("app")

NOT_WORKED = Sentence("This did not work.")


class ActionServer(TurnServer):
    """Takes the actions that it is given. A project may override `action` and `sync_action`."""

    def __init__(self, store: BaseStore, turns: Turns, *, actions: Actions, **parts: Any) -> None:
        """TurnServer takes the other parts."""
        super().__init__(store, turns, **parts)
        self.actions = actions

    def offers(self, operation: str) -> bool:
        if self._takes_actions(operation):
            return bool(self.actions)
        return super().offers(operation)

    async def check(self, request: ChatKitReq, context: RequestContext) -> None:
        await super().check(request, context)
        if isinstance(
            request, ThreadsCustomActionReq | ThreadsSyncCustomActionReq
        ) and self._takes_actions(request.type):
            params = request.params
            sender: Any = None
            if params.item_id is not None:
                sender = await self.store.load_item(params.thread_id, params.item_id, context)
            streams = isinstance(request, ThreadsCustomActionReq)
            kind = StreamingAction if streams else SyncAction
            check_action(self.actions, kind, params.action, sender)

    def _takes_actions(self, operation: str) -> bool:
        """Whether `actions` is for this operation, and not a method of a subclass."""
        match operation:
            case "threads.custom_action":
                return type(self).action is ActionServer.action
            case "threads.sync_custom_action":
                return type(self).sync_action is ActionServer.sync_action
            case _:
                return False

    async def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        known = self.actions[action.type]
        assert isinstance(known, StreamingAction)
        context.thread = thread
        try:
            async for event in known.handler(payload_of(known, action), sender, context):
                yield event
        except Refused as error:
            raise CustomStreamError(context.signed(error.sentence)) from None
        except Exception:
            # Retry is for answers: it would take away what came after the user's last message.
            log.exception("request %s: the action failed", context.request_id)
            raise CustomStreamError(context.signed(NOT_WORKED)) from None

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> SyncCustomActionResponse:
        known = self.actions[action.type]
        assert isinstance(known, SyncAction)
        context.thread = thread
        item = await known.handler(payload_of(known, action), sender, context)
        if item is not None:
            await self.store.save_item(thread.id, item, context)
        return SyncCustomActionResponse(updated_item=item)
