"""What a request may ask of a thread: refused here is what the SDK would fail at later."""

import base64
from collections.abc import Mapping
from typing import Any

from chatkit.types import (
    ChatKitReq,
    StructuredInputItem,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    UserMessageItem,
    WidgetItem,
    is_streaming_req,
)

from core.context import RequestContext
from core.errors import Refused
from core.protocol.inference_options import ModelOption, ToolOption, chosen, tool_id
from core.protocol.messages import text_of
from core.protocol.questions import pending_call
from core.protocol.requests import thread_id_of
from core.sentences import Sentence, both
from core.stores.base import BaseStore

# The kind of item that some operations are about.
ABOUT = {
    "threads.add_structured_input": StructuredInputItem,
    "threads.custom_action": WidgetItem,
    "threads.retry_after_item": UserMessageItem,
    "threads.sync_custom_action": WidgetItem,
}
MOST_ITEMS = 100
LONGEST_TITLE = 500
LOCKED = Sentence("This conversation is locked.")
CLOSED = Sentence("This conversation is closed.")


async def check_request(request: ChatKitReq, store: BaseStore, context: RequestContext) -> None:
    """Raise Refused or NotFoundError for what cannot be done in the thread.

    Whoever changes a thread is its one writer by then, so that what is checked stays true.
    """
    await check_status(request, store, context)
    params = {name: value for name, value in request.params if value is not None}
    thread_id = params.get("thread_id", "")
    # What it names must be there.
    if "attachment_id" in params:
        await store.load_attachment(params["attachment_id"], context)
    for name in ("content", "attachments"):
        if len(getattr(params.get("input"), name, [])) > MOST_ITEMS:
            raise Refused(
                Sentence("params.input.{name}: at most {most} parts.", name=name, most=MOST_ITEMS)
            )
    for attachment_id in getattr(params.get("input"), "attachments", []):
        await store.load_attachment(attachment_id, context)
    item_ids = [params["item_id"]] if "item_id" in params else params.get("item_ids", [])
    if len(item_ids) > MOST_ITEMS:
        raise Refused(f"params.item_ids: at most {MOST_ITEMS} items.")
    item: Any = None
    for item_id in item_ids:
        item = await store.load_item(thread_id, item_id, context)
    if item and not isinstance(item, ABOUT.get(request.type, object)):
        raise Refused(f"params.item_id: {request.type} is not for a {item.type}.")
    match request.type:
        case "threads.create" | "threads.add_user_message":
            if not text_of(params["input"]).strip() and not params["input"].attachments:
                raise Refused(Sentence("params.input.content: the message is empty."))
        case "input.transcribe":
            check_audio(**params)
        case "threads.update":
            request.params.title = params["title"].strip()
            if not 0 < len(request.params.title) <= LONGEST_TITLE:
                raise Refused(
                    Sentence(
                        "params.title: a title has 1 to {most} characters.", most=LONGEST_TITLE
                    )
                )
        case "threads.add_structured_input" if item.status != "pending":
            raise Refused(Sentence("This question has been answered already."), 409)
        case "threads.add_client_tool_output":
            if await pending_call(store, thread_id, context) is None:
                raise Refused(Sentence("No client tool call is waiting for an output."), 409)


def check_audio(audio_base64: str, mime_type: str) -> None:
    """Raise Refused for what is no audio."""
    if not mime_type.lower().startswith("audio/"):
        raise Refused("params.mime_type: it has to be that of audio, such as audio/webm.")
    try:
        audio = base64.b64decode(audio_base64, validate=True)
    except ValueError:
        raise Refused("params.audio_base64: it is not Base64.") from None
    if not audio:
        raise Refused("params.audio_base64: there is no audio.")


async def check_choice(
    request: ChatKitReq,
    models: Mapping[str, ModelOption] | None,
    tools: Mapping[str, ToolOption] | None,
    store: BaseStore,
    context: RequestContext,
) -> None:
    """Raise Refused for a message whose model or tool is not offered, new or to be retried."""
    match request:
        case ThreadsCreateReq() | ThreadsAddUserMessageReq():
            options, where = request.params.input.inference_options, "params.input."
        case ThreadsRetryAfterItemReq(params=params):
            message = await store.load_item(params.thread_id, params.item_id, context)
            assert isinstance(message, UserMessageItem)
            options, where = message.inference_options, ""
        case _:
            return
    chosen(models, options.model, f"{where}inference_options.model")
    chosen(tools, tool_id(options), f"{where}inference_options.tool_choice")


async def check_status(request: ChatKitReq, store: BaseStore, context: RequestContext) -> None:
    """Raise Refused for a new turn in a thread that is locked or closed.

    The SDK does not enforce the status.
    """
    thread_id = thread_id_of(request)
    changes = is_streaming_req(request) or isinstance(request, ThreadsSyncCustomActionReq)
    if thread_id is not None and changes:
        status = (await store.load_thread(thread_id, context)).status
        if status.type != "active":
            ended = CLOSED if status.type == "closed" else LOCKED
            raise Refused(both(ended, status.reason) if status.reason else ended, 409)
