"""The model's input has the order of what happened: random stories of turns and tools."""

import asyncio
import importlib
import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from agents import RunContextWrapper, StopAtTools, function_tool
from chatkit import types
from chatkit.agents import AgentContext, ClientToolCall
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel

from tests.backend import Backend, Turn
from tests.providers import talking_to
from tests.standins import Answer, HttpError, Silence, StandIn, Text, ToolCall

TOKEN = re.compile(r"[a-z]+-\d+|user stopped")


class Payload(BaseModel):
    label: str


def widget(label: str) -> DynamicWidgetRoot:
    go = {"type": "Button", "onClickAction": {"type": "go"}}
    text = {"type": "Text", "value": label}
    field = {"type": "Input", "name": "label"}
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": [text, field, go]})


def own(thread: str) -> dict[str, Any]:
    base = importlib.import_module("core.stores.base")
    return {"id": base.new_id("message"), "thread_id": thread, "created_at": datetime.now()}


@function_tool
async def note(label: str, output: str) -> str:
    """Note."""
    return output


@function_tool
async def show(
    context: RunContextWrapper[AgentContext[Any]], label: str, output: str, shown: str
) -> str:
    """Show a widget."""
    item = types.WidgetItem(widget=widget(shown), **own(context.context.thread.id))
    await context.context.stream(types.ThreadItemDoneEvent(item=item))
    await asyncio.sleep(0.001)
    return output


@function_tool
async def ask(
    context: RunContextWrapper[AgentContext[Any]], label: str, output: str, shown: str
) -> str:
    """Ask the user."""
    question = types.StructuredInputFreeform(id="q", question=shown)
    item = types.StructuredInputItem(inputs=[question], **own(context.context.thread.id))
    await context.context.stream(types.ThreadItemDoneEvent(item=item))
    return output


@function_tool
async def browse(context: RunContextWrapper[AgentContext[Any]], label: str) -> None:
    """Ask the browser."""
    context.context.client_tool_call = ClientToolCall(name="browse", arguments={"label": label})


async def go(
    payload: Payload, sender: types.WidgetItem, context: Any
) -> AsyncIterator[types.ThreadStreamEvent]:
    hidden = types.HiddenContextItem(content={"did": payload.label}, **own(sender.thread_id))
    yield types.ThreadItemDoneEvent(item=hidden)


class Story:
    """What happens in one thread, and what the model has to be told of it."""

    def __init__(self, backend: Backend, standin: StandIn, seed: int) -> None:
        self.backend = backend
        self.standin = standin
        self.random = Random(seed)
        self.thread = ""
        self.happened: list[str] = []
        self.count = 0

    def new(self, kind: str) -> str:
        self.count += 1
        return f"{kind}-{self.count}"

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def answer(self) -> list[str]:
        """Script an answer: what it will have added to what happened."""
        happens: list[str] = []
        for _ in range(self.random.choice([0, 0, 1, 1, 2])):
            said = [self.new("said")] if self.chance(0.3) else []
            happens += said
            calls, shown = list[ToolCall](), list[str]()
            for _ in range(self.random.choice([1, 1, 2])):
                name = self.random.choice(["note", "show", "ask"])
                arguments = {"label": self.new("call"), "output": self.new("out")}
                happens += arguments.values()
                if name != "note":
                    arguments["shown"] = self.new(name)
                    shown.append(arguments["shown"])
                calls.append(ToolCall(name, arguments))
            happens += shown
            self.standin.answers(Answer(*map(Text, said), *calls))
        if self.chance(0.15):
            self.standin.answers(HttpError(503))
        elif self.chance(0.2):
            happens.append(self.new("call"))
            self.standin.answers(Answer(ToolCall("browse", {"label": happens[-1]})))
        else:
            happens.append(self.new("said"))
            self.standin.answers(Answer(Text(happens[-1])))
        return happens

    def turn(self, type: str, **params: Any) -> None:
        """A request that the model answers: it is told what has happened."""
        asked = len(self.standin.requests)
        if self.chance(0.15):
            said = self.new("said")
            self.standin.answers(Answer(Text([said, " and more"]), Silence(20)))
            events = self.backend.events(type, params)
            seen = []
            for event in events:
                seen.append(event)
                if "delta" in str(event):
                    break
            events.close()
            self.backend.settle()
            then = [said, "user stopped"]
        else:
            then = self.answer()
            seen = list(self.backend.events(type, params))
        self.thread = self.thread or Turn.of(seen).thread
        self.check(asked)
        self.happened += then

    def check(self, asked: int) -> None:
        turns = self.standin.requests[asked].turns
        told = [token for role, text in turns for token in told_of(role, text)]
        assert turns[0][0] == "user"
        assert told[0].startswith("user-")
        assert told == self.happened[-len(told) :]
        assert told.count(told[0]) == 1
        roles = [role for role, _ in turns]
        assert roles.count("tool_call") == roles.count("tool_output")

    def items(self, type: str, **having: Any) -> list[dict[str, Any]]:
        items = self.backend.items(self.thread) if self.thread else []
        return [item for item in items if item["type"] == type and having.items() <= item.items()]

    def step(self) -> None:
        """One of what may happen next."""
        pending = self.items("client_tool_call", status="pending")
        questions = self.items("structured_input", status="pending")
        widgets = self.items("widget")
        if pending and self.chance(0.7):
            # Actions may have done something since the call, which then stands by its output.
            call = pending[-1]["arguments"]["label"]
            self.happened.remove(call)
            self.happened += [call, output := self.new("out")]
            result = {"result": output}
            self.turn("threads.add_client_tool_output", thread_id=self.thread, result=result)
        elif questions and self.chance(0.6):
            question = self.random.choice(questions)
            choice = self.new("choice")
            self.happened += [question["inputs"][0]["question"], choice]
            answers = {"status": "answered", "answers": {"q": {"values": [choice]}}}
            params = {"thread_id": self.thread, "item_id": question["id"], "input": answers}
            self.turn("threads.add_structured_input", **params)
        elif widgets and self.chance(0.3):
            self.happened.append(did := self.new("did"))
            action = {"type": "go", "payload": {"label": did}}
            params = {"item_id": self.random.choice(widgets)["id"], "action": action}
            acted = self.backend.turn("threads.custom_action", thread_id=self.thread, **params)
            assert not acted.errors
        elif (users := self.items("user_message")) and self.chance(0.2):
            again = self.random.choice(users[-3:])
            place = self.happened.index(again["content"][0]["text"])
            place += 1 + bool(again.get("quoted_text"))
            old = self.happened[place:]
            del self.happened[place:]
            self.turn("threads.retry_after_item", thread_id=self.thread, item_id=again["id"])
            if not self.happened[place:]:
                self.happened += old  # It has failed.
        else:
            self.happened += [question["inputs"][0]["question"] for question in questions]
            self.happened.append(said := self.new("user"))
            content: dict[str, Any] = {
                "content": [{"type": "input_text", "text": said}],
                "attachments": [],
            }
            if self.chance(0.3):
                self.happened.append(self.new("quoted"))
                content["quoted_text"] = self.happened[-1]
            content["inference_options"] = {}
            if self.thread:
                self.turn("threads.add_user_message", thread_id=self.thread, input=content)
            else:
                self.turn("threads.create", input=content)


def told_of(role: str, text: str) -> list[str]:
    """What is said to have happened. A call's arguments say also what it will do."""
    return re.findall(r"call-\d+", text) if role == "tool_call" else TOKEN.findall(text)


@pytest.mark.parametrize(("seed", "items"), enumerate(["1000", "30"] * 3))
def test_the_model_is_told_what_happened_in_the_order_in_which_it_happened(
    seed: int, items: str, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, store="memory", HISTORY_ITEMS=items) as backend:
        server = backend.main.server
        server.agent = server.agent.clone(
            tools=[note, show, ask, browse],
            tool_use_behavior=StopAtTools(stop_at_tool_names=["browse"]),
        )
        actions = importlib.import_module("core.turns.widget_actions")
        server.actions = {"go": actions.StreamingAction(Payload, go)}
        story = Story(backend, standin, seed)
        for _ in range(25):
            story.step()
