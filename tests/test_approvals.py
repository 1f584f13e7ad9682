"""Tools that need approval, on every provider's wire format: what is asked, runs, and is told."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from agents import Agent, HostedMCPTool, function_tool

from tests.backend import Backend, Client, Turn
from tests.providers import REMOTE, production, talking_to
from tests.standins import Answer, Hosted, HttpError, StandIn, Text, ToolCall

deleted: list[str] = []
"""What the tool has deleted."""


@function_tool(needs_approval=True)
async def delete_file(path: str) -> str:
    """Delete a file."""
    deleted.append(path)
    return f"{path} is gone."


DELETE = ToolCall("delete_file", {"path": "/old"})
DELETE_OTHER = ToolCall("delete_file", {"path": "/other"})
TOKYO = ToolCall("current_time", {"time_zone": "Asia/Tokyo"})


@pytest.fixture(autouse=True)
def nothing_is_deleted() -> None:
    deleted.clear()


@contextmanager
def deleting(
    standin: StandIn, folder: Path, provider: str = "local", **more: Any
) -> Iterator[Backend]:
    """A backend whose agent deletes files, if it may."""
    with talking_to(standin, folder, provider, **more) as backend:
        may_delete(backend)
        yield backend


def may_delete(backend: Backend, **changes: Any) -> None:
    agent = backend.main.server.agent
    tools = [*agent.tools, delete_file]
    backend.main.server.agent = agent.clone(tools=tools, **changes)


def cards(client: Client, thread: str) -> list[dict[str, Any]]:
    return [item for item in client.items(thread) if item["type"] == "widget"]


def actions(card: dict[str, Any]) -> dict[str, dict[str, Any]]:
    row = card["widget"]["children"][-1]
    offered = [button["onClickAction"] for button in row.get("children") or []]
    return {each["type"].removeprefix("approval."): each for each in offered}


def pressed(card: dict[str, Any], which: str) -> dict[str, Any]:
    action = {name: actions(card)[which][name] for name in ("type", "payload")}
    return {"thread_id": card["thread_id"], "item_id": card["id"], "action": action}


def press(client: Client, card: dict[str, Any], which: str = "approve") -> Turn:
    return client.turn("threads.custom_action", **pressed(card, which))


def stored(backend: Backend, thread: str) -> list[Any]:
    """The thread's items, with those that no client sees."""
    from core.context import RequestContext

    page = backend.main.server.store.load_thread_items(thread, None, 99, "asc", RequestContext())
    items: list[Any] = asyncio.run_coroutine_threadsafe(page, backend.loop).result(10).data
    return items


def told(standin: StandIn, role: str) -> list[str]:
    return [what for who, what in standin.requests[-1].turns if who == role]


@pytest.mark.parametrize("provider", REMOTE)
def test_an_approval_outlives_the_server_and_the_model_is_asked_nothing_twice(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(
        Answer(Text("Hello.")),
        Answer(Text("Let me look."), TOKYO, DELETE),
        Answer(Text("It is gone.")),
        Answer(Text("Yes.")),
    )
    with deleting(standin, tmp_path, provider) as backend:
        thread = backend.say("Hi").thread
        turn = backend.say("Delete the old file.", thread)
        assert not turn.errors
        assert not turn.ghosts
        [card] = cards(backend, thread)
        assert "/old" in str(card["widget"])
        assert len(standin.requests) == 2
    with deleting(standin, tmp_path, provider) as backend:
        turn = press(backend, card)
        assert turn.text == "It is gone."
        assert not turn.errors
        assert deleted == ["/old"]
        [card] = cards(backend, thread)
        assert not actions(card)
        assert turn.items[card["id"]]["widget"] == card["widget"]
        assert len(standin.requests) == 3
        went_on = told(standin, "tool_call"), told(standin, "tool_output")
        assert backend.say("Really?", thread).text == "Yes."
        assert not [item for item in backend.items(thread) if "hidden" in item["type"]]
    for calls, outputs in (went_on, (told(standin, "tool_call"), told(standin, "tool_output"))):
        assert sorted(calls) == sorted([str(TOKYO), str(DELETE)])
        assert len(outputs) == 2
        assert "/old is gone." in outputs[-1]
    assert told(standin, "assistant") == ["Hello.", "Let me look.", "It is gone."]
    assert deleted == ["/old"]


@pytest.mark.parametrize("provider", REMOTE)
def test_who_goes_on_without_deciding_has_not_approved(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(DELETE, DELETE_OTHER), Answer(Text("I leave them.")))
    with deleting(standin, tmp_path, provider) as backend:
        turn = backend.say("Delete the old files.")
        first, second = cards(backend, turn.thread)
        assert not press(backend, first).errors
        turn = backend.say("Never mind.", turn.thread)
        assert turn.text == "I leave them."
        assert not turn.errors
        for card in (first, second):
            assert (
                backend.post("threads.custom_action", **pressed(card, "approve")).status_code == 409
            )
        assert not [each for card in cards(backend, turn.thread) for each in actions(card)]
    assert not deleted
    assert told(standin, "tool_call") == [str(DELETE), str(DELETE_OTHER)]
    assert all("Not run" in output for output in told(standin, "tool_output"))
    assert told(standin, "user")[-1] == "Never mind."


@pytest.mark.parametrize("provider", REMOTE)
def test_an_agent_that_is_a_tool_may_ask_and_what_goes_on_may_ask_again(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(
        Answer(ToolCall("ask_cleaner", {"input": "Delete /old."})),
        Answer(DELETE),
        Answer(DELETE_OTHER),
        Answer(Text("Both are gone.")),
        Answer(Text("Done.")),
        Answer(Text("Welcome.")),
    )
    with talking_to(standin, tmp_path, provider) as backend:
        agent = backend.main.server.agent
        # Until agents have models of their own, the run's is for all of them.
        cleaner = Agent(name="Cleaner", instructions="You clean.", tools=[delete_file])
        tool = cleaner.as_tool("ask_cleaner", "Deletes files.", on_stream=lambda _: None)
        backend.main.server.agent = agent.clone(tools=[tool])
        turn = backend.say("Delete the old files.")
        assert not turn.errors
        [card] = cards(backend, turn.thread)
        turn = press(backend, card)
        assert not turn.errors
        assert deleted == ["/old"]
        _, card = cards(backend, turn.thread)
        assert "/other" in str(card["widget"])
        turn = press(backend, card, "reject")
        assert turn.text == "Done."
        assert backend.say("Thanks.", turn.thread).text == "Welcome."
    assert deleted == ["/old"]
    assert told(standin, "tool_output") == ["Both are gone."]
    assert "not approved" in "".join(
        what for who, what in standin.requests[3].turns if who == "tool_output"
    )


def test_an_agent_that_was_handed_the_thread_may_ask(standin: StandIn, tmp_path: Path) -> None:
    standin.answers(
        Answer(ToolCall("transfer_to_cleaner", {})),
        Answer(DELETE),
        Answer(Text("It is gone.")),
        Answer(Text("Yes.")),
    )
    with talking_to(standin, tmp_path) as backend:
        agent = backend.main.server.agent
        cleaner = Agent(name="Cleaner", instructions="You clean.", tools=[delete_file])
        backend.main.server.agent = agent.clone(handoffs=[cleaner])
        thread = backend.say("Delete the old file.").thread
        [card] = cards(backend, thread)
        turn = press(backend, card)
        assert not turn.errors
        assert turn.text == "It is gone."
        assert backend.say("Really?", thread).text == "Yes."
    assert deleted == ["/old"]
    assert "/old is gone." in told(standin, "tool_output")


@pytest.mark.parametrize("provider", REMOTE)
def test_a_failure_after_the_approved_tool_does_not_run_it_again(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(DELETE), HttpError(500), Answer(Text("It is gone.")))
    with deleting(standin, tmp_path, provider) as backend:
        thread = (turn := backend.say("Delete the old file.")).thread
        [card] = cards(backend, thread)
        [error] = press(backend, card).errors
        assert error["allow_retry"]
        [asked] = [item for item in backend.items(thread) if item["type"] == "user_message"]
        turn = backend.turn("threads.retry_after_item", thread_id=thread, item_id=asked["id"])
        assert turn.text == "It is gone."
    assert told(standin, "tool_output") == ["/old is gone."]
    assert deleted == ["/old"]


def test_the_client_s_tool_of_the_same_answer_follows_the_approval(
    standin: StandIn, tmp_path: Path
) -> None:
    ask_time_zone = ToolCall("browser_time_zone", {})
    standin.answers(Answer(ask_time_zone, DELETE), Answer(Text("Gone, at noon.")))
    with production(standin, tmp_path) as (backend, _):
        may_delete(backend)
        turn = backend.say("Delete the old file, and what time is it?")
        assert not turn.errors
        assert [item["type"] for item in turn.items.values()] == ["user_message", "widget"]
        [card] = cards(backend, turn.thread)
        turn = press(backend, card)
        [call] = [item for item in turn.items.values() if item["type"] == "client_tool_call"]
        assert call["status"] == "pending"
        result = {"time_zone": "Europe/Berlin"}
        turn = backend.turn("threads.add_client_tool_output", thread_id=turn.thread, result=result)
        assert turn.text == "Gone, at noon."
    assert told(standin, "tool_call") == [str(DELETE), str(ask_time_zone)]
    gone, where = told(standin, "tool_output")
    assert "gone" in gone
    assert "Berlin" in where


def test_who_stops_an_approved_tool_does_not_have_it_run_again(
    standin: StandIn, tmp_path: Path
) -> None:
    begun = Event()

    @function_tool(needs_approval=True)
    async def delete_slowly(path: str) -> None:
        """Delete a file."""
        begun.set()
        await asyncio.sleep(30)

    standin.answers(Answer(ToolCall("delete_slowly", {"path": "/old"})), Answer(Text("I see.")))
    with talking_to(standin, tmp_path) as backend:
        agent = backend.main.server.agent
        backend.main.server.agent = agent.clone(tools=[delete_slowly])
        thread = backend.say("Delete the old file.").thread
        [card] = cards(backend, thread)
        with backend.stream("threads.custom_action", pressed(card, "approve")):
            assert begun.wait(10)
        backend.settle()
        assert "Approved." in str(cards(backend, thread))
        assert backend.say("Is it gone?", thread).text == "I see."
    [output] = told(standin, "tool_output")
    assert "broken off" in output


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgres"])
def test_every_store_keeps_what_waits_as_it_is_and_a_long_text_once(
    store: str, standin: StandIn, tmp_path: Path
) -> None:
    long = "x" * 10_000
    # PostgreSQL cannot hold the first character.
    arguments = '{"path": "\\u0000é' + long + '"}'
    standin.answers(Answer(ToolCall("delete_file", arguments)), Answer(Text("It is gone.")))
    with deleting(standin, tmp_path, store=store) as backend:
        thread = backend.say("Delete it.").thread
        [waiting] = [item for item in stored(backend, thread) if "hidden" in item.type]
        # For the run, for its card, and twice for what the model is told of a call without output.
        assert waiting.model_dump_json().count(long) == 4
        [card] = cards(backend, thread)
        assert long in str(card["widget"])
        turn = press(backend, card)
        assert turn.text == "It is gone."
    [path] = deleted
    assert path == "\0é" + long


ASK_CLEANER = Hosted(
    "mcp_approval_request",
    {"server_label": "cleaner", "name": "delete_file", "arguments": '{"path": "/old"}'},
)
CLEANED = Hosted("mcp_call", {**ASK_CLEANER.found, "output": "/old is gone."})


@pytest.mark.parametrize("which", ["approve", "reject"])
def test_a_hosted_mcp_server_s_tool_waits_for_approval(
    which: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(
        Answer(ASK_CLEANER),
        Answer(CLEANED, Text("It is gone."))
        if which == "approve"
        else Answer(Text("As you like.")),
        Answer(Text("Welcome.")),
    )
    with talking_to(standin, tmp_path, "openai") as backend:
        cleaner = HostedMCPTool(
            tool_config={
                "type": "mcp",
                "server_label": "cleaner",
                "server_url": "https://cleaner.example/mcp",
                "require_approval": "always",
            }
        )
        backend.main.server.agent = backend.main.server.agent.clone(tools=[cleaner])
        turn = backend.say("Delete the old file.")
        assert not turn.errors
        [card] = cards(backend, turn.thread)
        assert "/old" in str(card["widget"])
        turn = press(backend, card, which)
        assert not turn.errors
        given = standin.requests[-1].body["input"]
        [asked] = [item for item in given if item.get("type") == "mcp_approval_request"]
        [answer] = [item for item in given if item.get("type") == "mcp_approval_response"]
        assert answer["approval_request_id"] == asked["id"]
        assert answer["approve"] is (which == "approve")
        assert backend.say("Thanks.", turn.thread).text == "Welcome."
    if which == "reject":
        assert "did not approve" in str(standin.requests[-1].body["input"])
