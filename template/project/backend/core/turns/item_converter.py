"""A thread's items as the model's input, for every kind of item and every provider."""

import json
from typing import Any

from agents import TResponseInputItem
from chatkit.agents import ThreadItemConverter
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    HiddenContextItem,
    StructuredInputItem,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
)
from openai.types.responses import ResponseInputContentParam, ResponseInputTextParam

from core.models.sendable_input import SHOWN
from core.protocol.questions import settled_question
from core.turns import thoughts
from core.turns.kept_calls import hosted_call_words, tool_call_input, tool_call_item_content
from core.turns.widget_texts import texts_of

APPROVAL_CARD = "approval_"
"""So begin the ids of the widgets that ask whether a tool may run."""
WIDGET_CHARACTERS = 4000
"""How much of a widget's text the model is told."""
BLOCKED_MESSAGE = {"type": "blocked"}
"""The content of a hidden item: a guardrail has blocked the user's newest message before it."""


class ItemConverter(ThreadItemConverter):
    """ChatKit's converter, mended where providers refuse what it makes, or it makes nothing.

    A project overrides what it wants in a subclass, and names that in app/server.py.
    """

    async def user_message_to_input(
        self, item: UserMessageItem, is_last_message: bool = True
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        given = await super().user_message_to_input(item, is_last_message)
        if not isinstance(given, list) or not (tool := item.inference_options.tool_choice):
            return given
        # Not every model can be made to call it, such as one of Claude's that always thinks.
        text = f"[The user has chosen the tool {tool.id} for this.]"
        return [*given, {"role": "user", "content": [text_part(text)]}]

    async def assistant_message_to_input(
        self, item: AssistantMessageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        # The SDK's own list of output_text parts is refused for every chat-completions model
        # ("Unknown content"), so that the second message of a thread would fail:
        # https://github.com/openai/openai-agents-python/pull/3877
        text = "".join(part.text for part in item.content)
        return {"role": "assistant", "content": text} if text.strip() else None

    async def hidden_context_to_input(
        self, item: HiddenContextItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        match item.content:
            case {"type": "tool_call"}:
                return tool_call_input(item.id, item.content)
            case {"type": "waiting"}:
                return None
            case {"type": thoughts.KIND}:
                # For with_thoughts in history.py, since the calls follow in items of their own.
                kept: Any = item.content
                return [kept]
            case {"type": "blocked", "answer": str(sentence)}:
                return {"role": "assistant", "content": sentence}
            case {"type": "answer"}:
                question = settled_question(item)
                return await self.structured_input_to_input(question) if question else None
            case {"type": "hosted_call"}:
                text = hosted_call_words(item.content)
                return {"role": "user", "content": [text_part(text)]}
            case {"type": "final_output", "text": str(text)}:
                return {"role": "assistant", "content": text}
            case None | {"type": "blocked" | "final_output"}:
                return None
            case str():
                return await super().hidden_context_to_input(item)
            case content:
                # A project's own. The SDK takes a text only.
                text = json.dumps(content, ensure_ascii=False, default=str)
                return await self.hidden_context_to_input(item.model_copy(update={"content": text}))

    async def structured_input_to_input(
        self, item: StructuredInputItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        if item.status != "pending":
            return await super().structured_input_to_input(item)
        # Also between what, which the SDK does not tell.
        questions = " · ".join(
            text
            for question in item.inputs
            for text in (question.question, *texts_of(question.model_dump(exclude={"question"})))
        )
        return {"role": "user", "content": [text_part(f"{SHOWN}asked: {questions}]")]}

    async def client_tool_call_to_input(
        self, item: ClientToolCallItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        if item.status == "pending":
            return None
        arguments, output = (
            json.dumps(value, ensure_ascii=False) for value in (item.arguments, item.output)
        )
        return tool_call_input(item.id, tool_call_item_content(item.name, arguments, output))

    async def widget_to_input(
        self, item: WidgetItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        if item.id.startswith(APPROVAL_CARD):
            # The model is told of the call that it asks about, and of what came of that.
            return None
        # Its words as they now stand, instead of the SDK's whole tree of components.
        words = " · ".join(texts_of(item.widget.model_dump(mode="json")))
        if len(words) > WIDGET_CHARACTERS:
            words = words[: WIDGET_CHARACTERS - 1] + "…"
        text = f"{SHOWN}shown a widget: {words}]"
        return {"role": "user", "content": [text_part(text)]}

    async def attachment_to_message_content(
        self, attachment: Attachment
    ) -> ResponseInputContentParam:
        # Without a placeholder one attachment would make its whole thread unanswerable.
        return text_part(f"[The user attached {attachment.name} ({attachment.mime_type}).]")

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputContentParam:
        details = f" {json.dumps(tag.data, ensure_ascii=False)}" if tag.data else ""
        return text_part(f"@{tag.text}: {tag.id}{details}")


def text_part(text: str) -> ResponseInputTextParam:
    return {"type": "input_text", "text": text}


def blocked_answer(sentence: str) -> dict[str, str]:
    """The content of a hidden item: a guardrail has blocked the answer, and the chat says this."""
    return BLOCKED_MESSAGE | {"answer": sentence}
