"""Providers that fail, in every way they know: a sentence, and a thread that goes on."""

import asyncio
import gc
import importlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from agents import (
    GuardrailFunctionOutput,
    InputGuardrail,
    OutputGuardrail,
    RunContextWrapper,
    function_tool,
)
from chatkit.types import (
    AssistantMessageItem,
    CustomTask,
    ProgressUpdateEvent,
    TaskItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadStreamEvent,
    Workflow,
)

from tests.backend import Backend, Turn
from tests.providers import KEY, REMOTE, environment, talking_to
from tests.render import render
from tests.standins import (
    Answer,
    Cut,
    Fault,
    Finish,
    HttpError,
    MalformedJson,
    NoFinish,
    Piece,
    Silence,
    Source,
    StandIn,
    Text,
    Thought,
    ToolCall,
)

MARKER = "org-RAWPROVIDERWORDS"

REFUSED: dict[int, str] = {
    400: "did not accept",
    401: "Set ",
    402: "wants to be paid",
    403: "Set ",
    404: "does not know this model",
    418: "refused the request",
    429: "takes no more requests",
    500: "overloaded",
    529: "overloaded",
}
BROKEN: dict[str, list[Piece]] = {
    "cut between events": [Text("The answer is", pieces=3), Cut()],
    "cut inside an event": [Text("The answer is", pieces=3), Cut(inside=True)],
    "error in mid-stream": [Text("The answer is", pieces=3), Fault(marker=MARKER)],
    "flat error in mid-stream": [Text("The answer is", pieces=3), Fault(MARKER, "flat")],
    "failed in mid-stream": [Text("The answer is", pieces=3), Fault(MARKER, "failed")],
    "malformed line": [Text("The answer is", pieces=3), MalformedJson(marker=MARKER)],
    "no finish reason": [Text("The answer is", pieces=3), NoFinish()],
    "a body that is no stream": [],
    "cut before the first word": [Cut()],
    "error before the first word": [Fault(marker=MARKER)],
    "no finish reason and no word": [NoFinish()],
}


def check(turn: Turn, log: str, provider: str) -> str:
    """What holds for every failure; the sentence that the chat shows."""
    [error] = turn.errors
    assert not turn.ghosts
    assert MARKER not in str(turn.events)
    assert KEY not in str(turn.events)
    assert MARKER not in log
    assert KEY not in log
    sentence: str = error["message"]
    request_id = sentence.rpartition("(Request ")[2].rstrip(")")
    assert request_id in log
    return sentence


@pytest.mark.parametrize(
    ("provider", "status"),
    [
        (provider, status)
        for provider in REMOTE
        for status in REFUSED
        # LiteLLM takes those for a 500 of Gemini's.
        if (provider, status) not in (("gemini", 402), ("gemini", 418))
    ],
)
def test_a_refused_request_is_told_in_a_sentence(
    provider: str,
    status: int,
    standin: StandIn,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.INFO)
    standin.answers(HttpError(status, marker=MARKER), Answer(Text("Better.")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("Hello?")
        out, err = capfd.readouterr()
        sentence = check(turn, caplog.text + out + err, provider)
        assert REFUSED[status] in sentence
        if status == 401:
            assert f"{provider.upper()}_API_KEY" in sentence
        assert len(standin.requests) == 1
        assert backend.texts(turn.thread) == [("user", "Hello?")]
        assert backend.say("Still there?", turn.thread).text == "Better."


@pytest.mark.parametrize(
    ("provider", "status", "kind", "told"),
    [
        *((provider, 400, "context_length", "too long for the model") for provider in REMOTE),
        ("gemini", 400, "bad_key", "Set GEMINI_API_KEY"),
        ("openai", 429, "unpaid", "wants to be paid"),
        ("anthropic", 400, "unpaid", "wants to be paid"),
    ],
)
def test_a_cause_that_no_status_tells_is_told(
    provider: str,
    status: int,
    kind: Literal["context_length", "bad_key", "unpaid"],
    told: str,
    standin: StandIn,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    standin.answers(HttpError(status, marker=MARKER, kind=kind), Answer(Text("Better.")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("Hello?")
        assert told in check(turn, caplog.text, provider)
        assert turn.errors[0]["allow_retry"] is False
        assert backend.say("Still there?", turn.thread).text == "Better."


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        (provider, kind)
        for provider in REMOTE
        for kind in BROKEN
        # Only OpenAI's Responses have more than one form of an error.
        if provider == "openai" or kind not in ("flat error in mid-stream", "failed in mid-stream")
    ],
)
def test_a_broken_answer_is_told_and_what_came_is_kept(
    provider: str,
    kind: str,
    standin: StandIn,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.INFO)
    broken = Answer(*BROKEN[kind], delay=0.02) if BROKEN[kind] else MalformedJson(MARKER)
    standin.answers(broken, Answer(Text("Better.")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("Hello?")
        assert backend.http.get("/health").status_code == 200
        out, err = capfd.readouterr()
        if provider == "azure" and kind == "malformed line":
            # LiteLLM's reader of Responses skips the line, and the answer comes to its end.
            assert turn.answers == ["The answer is"]
            return
        check(turn, caplog.text + out + err, provider)
        assert turn.errors[0]["allow_retry"] is True
        stored = [text for who, text in backend.texts(turn.thread) if who == "assistant"]
        assert stored == turn.answers
        begun = any(isinstance(piece, Text) for piece in BROKEN[kind])
        assert stored == (["The answer is"] if begun else [])
        assert backend.say("Still there?", turn.thread).text == "Better."


@pytest.mark.parametrize(
    ("reason", "told"), [("length", "length limit"), ("safety", "content filter")]
)
@pytest.mark.parametrize("provider", REMOTE)
def test_an_answer_that_the_provider_cut_is_kept_and_the_reason_is_told(
    provider: str, reason: Literal["length", "safety"], told: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(
        Answer(Text("The answer is", pieces=3), Finish(reason)),
        Answer(Finish(reason)),
        Answer(Text("42.")),
    )
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("What is the answer?")
        [notice] = [event for event in turn.events if event["type"] == "notice"]
        assert told in notice["message"]
        assert (turn.errors, turn.ghosts) == ([], [])
        kept = [("user", "What is the answer?"), ("assistant", "The answer is")]
        assert backend.texts(turn.thread) == kept
        # Where nothing was said, a notice beneath the answer would stand alone.
        [error] = backend.say("And now?", turn.thread).errors
        assert told in error["message"] and not error["allow_retry"]
        assert backend.say("Go on.", turn.thread).text == "42."


@pytest.mark.parametrize("provider", REMOTE)
@pytest.mark.parametrize(
    "pieces", [[Silence(30), Text("Late.")], [Text("The answer is", pieces=3), Silence(30)]]
)
def test_a_silent_model_is_given_up(
    provider: str, pieces: list[Piece], standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(*pieces))
    with talking_to(standin, tmp_path, provider, MODEL_TIMEOUT="1") as backend:
        turn = backend.say("Hello?")
        [error] = turn.errors
        assert "silent" in error["message"]
        assert error["allow_retry"] is True
        assert not turn.ghosts
        assert standin.wait_closed(0, timeout=1)


@pytest.mark.parametrize("provider", REMOTE)
@pytest.mark.parametrize("pieces", [[], [Text(" ")], [Thought("Hm.")]], ids=str)
def test_an_empty_answer_is_told(
    pieces: list[Piece],
    provider: str,
    standin: StandIn,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    standin.answers(Answer(*pieces), Answer(Text("Here.")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("Hello?")
        assert "empty answer" in check(turn, caplog.text, provider)
        assert turn.answers == []
        assert turn.errors[0]["allow_retry"]
        assert backend.say("Still there?", turn.thread).text == "Here."
    assert standin.requests[-1].turns == [("user", "Hello?"), ("user", "Still there?")]


@pytest.mark.parametrize("provider", ["gemini", "openai", "anthropic", "azure"])
def test_a_missing_key_is_told_in_the_chat_and_by_ready(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:

    env = environment(provider, standin, tmp_path) | {f"{provider.upper()}_API_KEY": ""}
    with Backend(render(level=2, provider=provider, store="sqlite"), env) as backend:
        ready = backend.http.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["cause"] == f"model: {provider.upper()}_API_KEY is not set"
        turn = backend.say("Hello?")
        assert f"{provider.upper()}_API_KEY" in turn.errors[0]["message"]
        assert ".env" in turn.errors[0]["message"]
        assert backend.texts(turn.thread) == [("user", "Hello?")]
    assert not standin.requests


def test_a_model_of_no_provider_is_told_by_ready(
    standin: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:

    env = environment("gemini", standin, tmp_path) | {"MODEL": "litellm/nonsense"}
    with Backend(render(level=2, provider="gemini", store="sqlite"), env) as backend:
        # The model is loaded when the chat can say that it is not.
        [error] = backend.say("Hello?").errors
        assert "LiteLLM knows no provider of the model nonsense." in error["message"]
        cause = backend.http.get("/ready").json()["cause"]
        assert cause == "model: litellm/nonsense could not be loaded"
    assert "LiteLLM knows no provider of the model nonsense." in caplog.text


@pytest.mark.parametrize("provider", REMOTE)
def test_a_provider_that_cannot_be_reached_is_told(
    provider: str, standin: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = "http://127.0.0.1:9"
    with talking_to(standin, tmp_path, provider, MODEL_BASE_URL=url) as backend:
        sentence = check(backend.say("Hello?"), caplog.text, provider)
        assert "cannot be reached" in sentence
        assert "127.0.0.1:9" not in sentence
        assert "(127.0.0.1:9)" in caplog.text


@pytest.mark.parametrize("provider", REMOTE)
def test_half_a_character_of_the_model_does_not_end_the_answer(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    deltas = ["x\ud83d", "\ude00y ", "\ud83d", " z"]
    standin.answers(Answer(Text(deltas), delay=0.01))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("Hello?")
        assert not turn.errors
        assert not turn.ghosts
        assert turn.text == "x😀y \ufffd z"
        assert turn.deltas == turn.text
        assert backend.texts(turn.thread)[1] == ("assistant", turn.text)


@pytest.mark.parametrize("provider", REMOTE)
def test_what_comes_in_one_burst_with_a_failure_is_kept(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    for failure in (Fault(MARKER), NoFinish()):
        standin.answers(Answer(Text("The answer is", pieces=3), failure))
    with talking_to(standin, tmp_path, provider) as backend:
        for _ in range(2):
            turn = backend.say("Hello?")
            assert turn.text == "The answer is"
            assert len(turn.errors) == 1
            assert backend.texts(turn.thread)[1] == ("assistant", "The answer is")


# Claude has one such word, pause_turn, and LiteLLM takes it for a length limit.
@pytest.mark.parametrize("provider", ["gemini", "local"])
def test_an_answer_that_the_provider_calls_a_failure_is_not_a_whole_one(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Let me see."), Finish("failed")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("What time is it?")
        assert "broke off" in turn.errors[0]["message"]
        assert backend.texts(turn.thread)[1] == ("assistant", "Let me see.")


@pytest.mark.parametrize("form", ["error", "flat", "failed"])
def test_a_provider_that_fails_before_the_first_word_is_told_by_its_cause(
    form: Literal["error", "flat", "failed"],
    standin: StandIn,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    standin.answers(Answer(Fault(MARKER, form)))
    with talking_to(standin, tmp_path, "openai") as backend:
        assert "overloaded" in check(backend.say("Hello?"), caplog.text, "openai")
    assert "server_error" in caplog.text


@pytest.mark.parametrize("provider", ["openai", "anthropic", "azure", "local"])
def test_arguments_that_are_no_json_do_not_end_the_turn(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(
        Answer(ToolCall("current_time", '{"time_zone": "Eur')),
        *(Answer(Text(f"The {number} answer.")) for number in ("first", "second")),
    )
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("What time is it?")
        assert (turn.errors, turn.text) == ([], "The first answer.")
        turn = backend.say("And now?", turn.thread)
        assert (turn.errors, turn.text) == ([], "The second answer.")
    for request in standin.requests[1:]:
        assert ("tool_call", str(ToolCall("current_time", {}))) in request.turns


def test_arguments_too_deep_for_python_do_not_spoil_the_thread(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(ToolCall("current_time", "[" * 100_000)), Answer(Text("Noon.")))
    with talking_to(standin, tmp_path) as backend:
        turn = backend.say("What time is it?")
        assert "failed" in turn.errors[0]["message"]
        assert backend.say("And now?", turn.thread).text == "Noon."


@pytest.mark.parametrize("provider", REMOTE)
def test_half_a_character_before_a_tool_call_does_not_end_the_turn(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    look = ToolCall("current_time", {"time_zone": "Asia/Tokyo"})
    standin.answers(Answer(Text(["One \ud83d", " moment."]), look), Answer(Text("Noon.")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("What time is it in Tokyo?")
        assert (turn.errors, turn.answers) == ([], ["One \ufffd moment.", "Noon."])


def test_why_a_tool_failed_is_in_the_log(
    standin: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    standin.answers(Answer(ToolCall("look", {})), Answer(Text("I could not look.")))
    with talking_to(standin, tmp_path) as backend:

        @function_tool
        async def look() -> str:
            """Look."""
            raise OSError("no light")

        agent = backend.main.server.agent
        backend.main.server.agent = agent.clone(tools=[look])
        turn = backend.say("Look.")
        assert (turn.text, turn.errors) == ("I could not look.", [])
        assert "the tool look failed" in caplog.text
        assert "OSError: no light" in caplog.text
        assert "no light" not in str(standin.requests[1].turns)


def check_tasks(backend: Backend, before: int) -> None:
    """No task is left; the request's own ends a moment after its answer."""
    gc.collect()
    deadline = time.monotonic() + 5
    while len(asyncio.all_tasks(backend.loop)) > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_chatkit_cannot_take_ends_the_answer_and_keeps_what_came(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(
        Answer(Text("The answer is"), Source({"type": "hearsay"}), Text(" 42.")),
        Answer(Text("Better.")),
    )
    with talking_to(standin, tmp_path, "openai") as backend:
        before = len(asyncio.all_tasks(backend.loop))
        turn = backend.say("What is the answer?")
        assert "broke off" in turn.errors[0]["message"]
        assert not turn.ghosts
        assert backend.texts(turn.thread)[1] == ("assistant", "The answer is")
        assert backend.say("Still there?", turn.thread).text == "Better."
        backend.settle()
        check_tasks(backend, before)


def test_what_cannot_be_stored_is_taken_back(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.answers(Answer(Text("The answer is", pieces=3)), Answer(Text("42.")))
    with talking_to(standin, tmp_path) as backend:
        store = backend.main.server.store
        add = store.add_thread_item

        async def full(thread_id: str, item: Any, context: Any) -> None:
            if item.type == "assistant_message":
                raise store_error("The disk is full.", "full")
            await add(thread_id, item, context)

        store_error = importlib.import_module("core.errors").StoreError
        monkeypatch.setattr(store, "add_thread_item", full)
        before = len(asyncio.all_tasks(backend.loop))
        turn = backend.say("What is the answer?")
        assert len(turn.errors) == 1
        assert (turn.ghosts, turn.text) == ([], "")
        monkeypatch.undo()
        assert backend.say("Once more.", turn.thread).text == "42."
        backend.settle()
        check_tasks(backend, before)


@pytest.mark.parametrize("of", ["input", "output"])
@pytest.mark.parametrize("provider", REMOTE)
def test_what_a_guardrail_blocks_is_not_kept_and_cannot_be_retried(
    provider: str, of: str, standin: StandIn, tmp_path: Path
) -> None:
    if of == "output":
        look = ToolCall("current_time", {"time_zone": "Asia/Tokyo"})
        standin.answers(Answer(Thought("Hm."), Text("Let me look."), look))
    standin.answers(Answer(Text("The secret is 42.", pieces=3), delay=0.02))
    with talking_to(standin, tmp_path, provider) as backend:

        async def blocks(_context: Any, _agent: Any, said: Any) -> GuardrailFunctionOutput:
            await asyncio.sleep(0.05)
            return GuardrailFunctionOutput(None, "secret" in str(said))

        agent = backend.main.server.agent
        if of == "input":
            agent = agent.clone(input_guardrails=[InputGuardrail(blocks)])
        else:
            agent = agent.clone(output_guardrails=[OutputGuardrail(blocks)])
        backend.main.server.agent = agent
        turn = backend.say("Tell me the secret." if of == "input" else "Tell me.")
        [error] = turn.errors
        assert "cannot be answered here" in error["message"]
        assert error["allow_retry"] is False
        assert (turn.ghosts, turn.answers) == ([], [])
        assert [role for role, _ in backend.texts(turn.thread)] == ["user"]
        backend.main.server.agent = agent.clone(input_guardrails=[], output_guardrails=[])
        standin.answers(Answer(Text("Gladly.")))
        assert backend.say("Something else, then.", turn.thread).text == "Gladly."
    assert "42" not in str(standin.requests[-1].turns)


def test_an_agent_that_takes_too_many_steps_is_stopped(standin: StandIn, tmp_path: Path) -> None:
    look = Answer(ToolCall("current_time", {"time_zone": "Asia/Tokyo"}))
    standin.answers(look, look, Answer(Text("Noon.")))
    with talking_to(standin, tmp_path, MAX_TURNS="2") as backend:
        turn = backend.say("What time is it in Tokyo?")
        assert "too many steps" in turn.errors[0]["message"]
        assert backend.say("Well?", turn.thread).text == "Noon."


def test_what_a_tool_shows_stands_behind_the_words_before_it_after_a_reload_too(
    standin: StandIn, tmp_path: Path
) -> None:
    """ChatKit takes from a tool's queue first, where an answer comes in one burst."""
    common: dict[str, Any] = {"thread_id": "thr_1", "created_at": datetime(2026, 1, 1)}
    words = AssistantMessageItem(id="msg_1", content=[], **common)
    shown = TaskItem(id="tsk_1", task=CustomTask(title="Looking"), **common)
    more = AssistantMessageItem(id="msg_2", content=[], **common)
    told: list[ThreadStreamEvent] = [ThreadItemAddedEvent(item=words)]
    tool: list[ThreadStreamEvent] = [
        ThreadItemAddedEvent(item=shown),
        ThreadItemDoneEvent(item=shown),
    ]
    rest: list[ThreadStreamEvent] = [
        ThreadItemDoneEvent(item=words),
        ThreadItemAddedEvent(item=more),
        ThreadItemDoneEvent(item=more),
    ]

    progress = ProgressUpdateEvent(text="Looking …")
    said = AssistantMessageItem(id="msg_3", content=[], **common)

    async def ordered(*given: ThreadStreamEvent) -> list[ThreadStreamEvent]:
        async def merged() -> AsyncIterator[ThreadStreamEvent]:
            for event in given:
                yield event

        return [event async for event in in_order(merged(), {"msg_1", "msg_2"})]

    with talking_to(standin, tmp_path):
        in_order = importlib.import_module("core.turns.run_events").in_order
    got = asyncio.run(ordered(*told, *tool, progress, *rest))
    # What is about no item waits for nothing.
    assert got == [*told, progress, rest[0], *tool, *rest[1:]]
    by_tools = [ThreadItemAddedEvent(item=said), *tool, ThreadItemDoneEvent(item=said)]
    assert asyncio.run(ordered(*by_tools)) == by_tools


def test_a_workflow_that_another_one_replaces_is_ended(standin: StandIn, tmp_path: Path) -> None:
    standin.answers(Answer(Thought("Hm."), ToolCall("look", {})), Answer(Text("Found.")))
    with talking_to(standin, tmp_path) as backend:

        @function_tool
        async def look(context: RunContextWrapper[Any]) -> str:
            """Look."""
            tasks = [CustomTask(title="Looking")]
            await context.context.start_workflow(Workflow(type="custom", tasks=tasks))
            return "found"

        agent = backend.main.server.agent
        backend.main.server.agent = agent.clone(tools=[look])
        turn = backend.say("Look for it.")
        assert (turn.errors, turn.ghosts) == ([], [])
        kinds = [item["type"] for item in backend.items(turn.thread)]
        assert kinds.count("workflow") == 2


async def begun_task(context: RunContextWrapper[Any]) -> TaskItem:
    """A task that a tool shows to the user, and should end."""
    turn = context.context
    task = TaskItem(
        id=turn.generate_id("task"),
        thread_id=turn.thread.id,
        created_at=datetime.now(),
        task=CustomTask(title="Looking"),
    )
    await turn.stream(ThreadItemAddedEvent(item=task))
    return task


def test_an_item_of_any_kind_that_a_tool_leaves_open_is_taken_back(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(ToolCall("look", {})), Answer(Text("Not found.")))
    with talking_to(standin, tmp_path) as backend:

        @function_tool
        async def look(context: RunContextWrapper[Any]) -> str:
            """Look."""
            await begun_task(context)
            raise RuntimeError

        agent = backend.main.server.agent
        backend.main.server.agent = agent.clone(tools=[look])
        turn = backend.say("Look for it.")
        assert (turn.text, turn.errors, turn.ghosts) == ("Not found.", [], [])
        assert len(turn.removed) == 1


def test_an_item_that_a_tool_replaces_is_kept(standin: StandIn, tmp_path: Path) -> None:
    standin.answers(Answer(ToolCall("look", {})), Answer(Text("Found.")))
    with talking_to(standin, tmp_path) as backend:

        @function_tool
        async def look(context: RunContextWrapper[Any]) -> str:
            """Look."""
            task = await begun_task(context)
            found = task.model_copy(update={"task": CustomTask(title="Found")})
            await context.context.stream(ThreadItemReplacedEvent(item=found))
            return "found"

        agent = backend.main.server.agent
        backend.main.server.agent = agent.clone(tools=[look])
        turn = backend.say("Look for it.")
        assert (turn.text, turn.errors, turn.ghosts, turn.removed) == ("Found.", [], [], [])
        [kept] = [item for item in backend.items(turn.thread) if item["type"] == "task"]
        assert kept["task"]["title"] == "Found"


def test_a_provider_that_gives_every_call_the_same_id_is_understood(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.standins import chat_completions

    monkeypatch.setattr(chat_completions, "token", lambda prefix, length=24: f"{prefix}1")
    call = ToolCall("current_time", {"time_zone": "Europe/Berlin"})
    answer = [Answer(call), Answer(Text("Late."))]
    standin.answers(*answer, *answer)
    with talking_to(standin, tmp_path, "local") as backend:
        first = backend.say("What time is it?")
        assert backend.say("And now?", first.thread).text == "Late."
    roles = [role for role, _ in standin.requests[-1].turns]
    told = ["user", "tool_call", "tool_output"]
    assert roles == [*told, "assistant", *told]


def test_the_log_has_the_cause_of_a_tool_s_failure(
    standin: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    standin.answers(Answer(ToolCall("fails", {})))
    with talking_to(standin, tmp_path) as backend:
        from agents import function_tool

        @function_tool(failure_error_function=None)
        def fails() -> str:
            """Fail."""
            raise ValueError("the tool's own words")

        agent = backend.main.server.agent
        agent.tools.append(fails)
        [error] = backend.say("Fail, please.").errors
        assert "log has the cause" in error["message"]
        assert "own words" not in error["message"]
    assert "the tool's own words" in caplog.text


def test_a_key_that_is_not_the_project_s_is_not_named(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    standin.answers(HttpError(401, marker=MARKER))
    model = "litellm/anthropic/claude-haiku-4-5"
    with talking_to(standin, tmp_path, "gemini", MODEL=model) as backend:
        [error] = backend.say("Hello?").errors
    assert "refused the API key" in error["message"]
    assert "GEMINI" not in error["message"]
