"""The stand-ins speak so that the providers' real clients understand them; what those clients do.

The tests named `..._still_...` pin what a client makes of a broken answer. When one of them fails,
a client has been mended, and a repair in the template may go.
"""

import asyncio
import inspect
import json
import os
import re
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import openai
import pytest

from tests.standins import (
    Answer,
    Cut,
    Fault,
    Finish,
    HttpError,
    MalformedJson,
    NoFinish,
    Piece,
    Refusal,
    Reply,
    Silence,
    StandIn,
    Text,
    Thought,
    ToolCall,
)

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm  # not before this is set: it would fetch a price list
from litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini import VertexGeminiConfig

litellm.suppress_debug_info = True

KEY = "sk-test-4f1c2a"
MARKER = "org-RAWPROVIDERWORDS"
TIMEOUT = 10

BERLIN = ToolCall("current_time", {"time_zone": "Europe/Berlin"})
TOKYO = ToolCall("current_time", {"time_zone": "Asia/Tokyo"})
PARAMETERS = {"type": "object", "properties": {"time_zone": {"type": "string"}}}

SYSTEM = "Be kind."
HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": "What time is it in Berlin and Tokyo? 🕰"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {"id": call_id, "type": "function"}
            | {"function": {"name": call.name, "arguments": call.json}}
            for call_id, call in (("call_Euro", BERLIN), ("call_Asia", TOKYO))
        ],
    },
    {"role": "tool", "tool_call_id": "call_Euro", "content": "9 o'clock"},
    {"role": "tool", "tool_call_id": "call_Asia", "content": "17 o'clock"},
    {"role": "assistant", "content": "It is nine and five."},
    {"role": "user", "content": "Thanks."},
]
TOLD = [
    ("user", "What time is it in Berlin and Tokyo? 🕰"),
    ("assistant", "Let me look."),
    ("tool_call", 'current_time({"time_zone": "Europe/Berlin"})'),
    ("tool_call", 'current_time({"time_zone": "Asia/Tokyo"})'),
    ("tool_output", "9 o'clock"),
    ("tool_output", "17 o'clock"),
    ("assistant", "It is nine and five."),
    ("user", "Thanks."),
]


@dataclass
class Heard:
    """What a client has understood."""

    deltas: list[str] = field(default_factory=list)
    thought: str = ""
    refusal: str = ""
    calls: list[list[str]] = field(default_factory=list)
    finish: str | None = None
    """The reason as the client tells it; for Responses the type of the last event."""
    noted_finish: str | None = None
    """LiteLLM's own note of it."""
    tokens: int = 0
    error: Exception | None = None
    took: list[float] = field(default_factory=list)
    """When each delta came, by time.monotonic()."""
    spoken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first delta."""

    @property
    def text(self) -> str:
        return "".join(self.deltas)

    def say(self, delta: str | None) -> None:
        if delta:
            self.deltas.append(delta)
            self.took.append(time.monotonic())
            self.spoken.set()

    def chunk(self, chunk: Any) -> None:
        """A chunk of chat completions, of LiteLLM or of OpenAI."""
        if usage := getattr(chunk, "usage", None):
            self.tokens = usage.total_tokens
        for choice in chunk.choices:
            self.say(choice.delta.content)
            self.thought += getattr(choice.delta, "reasoning_content", None) or ""
            self.refusal += getattr(choice.delta, "refusal", None) or ""
            for call in choice.delta.tool_calls or []:
                if call.id:
                    self.calls.append([call.function.name, ""])
                self.calls[-1][1] += call.function.arguments or ""
            self.finish = choice.finish_reason or self.finish

    def event(self, event: Any) -> None:
        """An event of Responses."""
        self.finish = event.type
        match event.type:
            case "response.output_text.delta":
                self.say(event.delta)
            case "response.reasoning_summary_text.delta":
                self.thought += event.delta
            case "response.refusal.delta":
                self.refusal += event.delta
            case "response.output_item.done" if event.item.type == "function_call":
                self.calls.append([event.item.name, event.item.arguments])
            case "response.completed" | "response.incomplete":
                self.tokens = event.response.usage.total_tokens


T = TypeVar("T")
Client = Callable[[str, Heard], Coroutine[Any, Any, None]]


def litellm_client(model: str, **options: str) -> Client:
    async def ask(url: str, heard: Heard) -> None:
        stream = await litellm.acompletion(
            model=model,
            base_url=url,
            api_key=KEY,
            messages=[{"role": "system", "content": SYSTEM}, *HISTORY],
            tools=[{"type": "function"} | {"function": {"name": "f", "parameters": PARAMETERS}}],
            stream=True,
            stream_options={"include_usage": True},
            timeout=TIMEOUT,
            max_retries=0,
            **options,
        )
        try:
            async for chunk in stream:
                heard.chunk(chunk)
        finally:
            heard.noted_finish = stream.received_finish_reason or stream.intermittent_finish_reason
            await stream.aclose()

    return ask


OPENAI = openai.AsyncOpenAI(api_key=KEY, max_retries=0, timeout=TIMEOUT)


def openai_client(url: str) -> openai.AsyncOpenAI:
    return OPENAI.with_options(base_url=f"{url}/v1")


async def ask_chat_completions(url: str, heard: Heard) -> None:
    function: Any = {"type": "function"} | {"function": {"name": "f", "parameters": PARAMETERS}}
    messages: Any = [{"role": "system", "content": SYSTEM}, *HISTORY]
    stream = await openai_client(url).chat.completions.create(
        model="qwen3",
        messages=messages,
        tools=[function],
        stream=True,
        stream_options={"include_usage": True},
    )
    async with stream:
        async for chunk in stream:
            heard.chunk(chunk)


async def ask_responses(url: str, heard: Heard) -> None:
    items: list[Any] = []
    for message in HISTORY:
        if message["role"] == "tool":
            output = {"call_id": message["tool_call_id"], "output": message["content"]}
            items.append({"type": "function_call_output", **output})
            continue
        items.append({"role": message["role"], "content": message["content"]})
        for call in message.get("tool_calls", []):
            items.append({"type": "function_call", "call_id": call["id"], **call["function"]})
    function: Any = {"type": "function", "name": "f", "parameters": PARAMETERS, "strict": False}
    stream = await openai_client(url).responses.create(
        model="gpt-5.6", instructions=SYSTEM, input=items, tools=[function], stream=True
    )
    async with stream:
        async for event in stream:
            heard.event(event)


CLIENTS: dict[str, Client] = {
    "gemini": litellm_client("gemini/gemini-2.5-flash"),
    "anthropic": litellm_client("anthropic/claude-haiku-4-5"),
    "azure": litellm_client("azure/gpt-4o", api_version="2024-10-21"),
    "chat completions": ask_chat_completions,
    "responses": ask_responses,
}
THROUGH_LITELLM = ["gemini", "anthropic", "azure"]
DONE = {"responses": "response.completed"}


LOOP = asyncio.new_event_loop()
"""One for all tests: the clients keep their connections, and what TLS costs them, by the loop."""


@pytest.fixture(scope="module", autouse=True)
def close_the_loop() -> Iterator[None]:
    yield
    LOOP.run_until_complete(OPENAI.close())
    LOOP.run_until_complete(litellm.close_litellm_async_clients())
    LOOP.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    return LOOP.run_until_complete(asyncio.wait_for(work, TIMEOUT))


@pytest.fixture(scope="module", autouse=True)
def litellm_as_it_comes() -> Iterator[None]:
    """Another test of this process may have started a project that mends LiteLLM."""
    name = "_check_finish_reason"
    with pytest.MonkeyPatch.context() as patch:
        bare = inspect.unwrap(getattr(VertexGeminiConfig, name))
        patch.setattr(VertexGeminiConfig, name, staticmethod(bare))
        yield


@pytest.fixture
def provider() -> Iterator[StandIn]:
    with StandIn() as standin:
        yield standin


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def hear(client: str, provider: StandIn, *reply: Reply) -> Heard:
    """What this client understands of this reply."""
    provider.answers(*reply)
    heard = Heard()
    try:
        run(CLIENTS[client](provider.url, heard))
    except Exception as error:
        heard.error = error
    return heard


def cause(error: Exception | None) -> Any:
    """The error behind the one that LiteLLM wraps it in."""
    return getattr(error, "original_exception", None) or error


# -- answers that go well -----------------------------------------------------------------------


def test_words_arrive_as_they_were_scripted(client: str, provider: StandIn) -> None:
    heard = hear(client, provider, Answer(Text("Hello 🧭 Ada.", pieces=3)))
    assert heard.error is None
    assert heard.deltas == ["Hell", "o 🧭 ", "Ada."]
    assert heard.finish == DONE.get(client, "stop")
    assert heard.tokens > 10
    assert not provider.wait_closed(0, 5)
    assert provider.requests[0].ended_at is not None


def test_a_tool_call_arrives(client: str, provider: StandIn) -> None:
    heard = hear(client, provider, Answer(Text("Let me look."), BERLIN))
    assert heard.text == "Let me look."
    assert heard.calls == [["current_time", '{"time_zone": "Europe/Berlin"}']]
    assert heard.finish == DONE.get(client, "tool_calls")


def test_a_thought_and_two_tool_calls_of_one_answer_arrive(client: str, provider: StandIn) -> None:
    heard = hear(client, provider, Answer(Thought("Two cities.", pieces=2), BERLIN, TOKYO))
    assert heard.thought == "Two cities."
    assert [json.loads(arguments) for _, arguments in heard.calls] == [
        {"time_zone": "Europe/Berlin"},
        {"time_zone": "Asia/Tokyo"},
    ]
    assert heard.text == ""


def test_an_empty_answer_arrives_as_one(client: str, provider: StandIn) -> None:
    heard = hear(client, provider, Answer())
    assert (heard.text, heard.calls, heard.error) == ("", [], None)
    assert heard.finish == DONE.get(client, "stop")


@pytest.mark.parametrize(("reason", "told"), [("length", "length"), ("safety", "content_filter")])
def test_an_answer_that_is_broken_off_says_why(
    client: str, provider: StandIn, reason: Any, told: str
) -> None:
    heard = hear(client, provider, Answer(Text("Well"), Finish(reason)))
    assert heard.text == "Well"
    assert heard.finish == (told if client != "responses" else "response.incomplete")


def test_a_refusal_arrives(client: str, provider: StandIn) -> None:
    heard = hear(client, provider, Answer(Refusal("I cannot help with that.")))
    assert heard.error is None
    if client in ("gemini", "anthropic"):
        assert (heard.text, heard.finish) == ("I cannot help with that.", "content_filter")
    elif client == "azure":
        # LiteLLM drops it: a refusal through Azure is an empty answer.
        assert heard.text == ""
    else:
        assert heard.refusal == "I cannot help with that."


def test_a_slow_answer_arrives_word_by_word(client: str, provider: StandIn) -> None:
    heard = hear(client, provider, Answer(Text(["one ", "two ", "three"]), delay=0.03))
    assert heard.text == "one two three"
    assert heard.took[2] - heard.took[0] > 0.05


def test_a_pause_in_a_message_does_not_make_two_of_it(client: str, provider: StandIn) -> None:
    heard = hear(client, provider, Answer(Text("one "), Silence(0.1), Text("two")))
    assert heard.text == "one two"
    assert heard.took[1] - heard.took[0] > 0.05


# -- what the model was told ---------------------------------------------------------------------


def test_what_the_model_is_told_reads_the_same_in_every_format(
    client: str, provider: StandIn
) -> None:
    hear(client, provider, Answer(Text("You are welcome.")))
    [request] = provider.requests
    assert request.system == SYSTEM
    assert request.turns == TOLD
    assert request.tools == ["f"]
    assert KEY in str(request.headers) + str(request.query)
    assert request.model in ("gemini-2.5-flash", "claude-haiku-4-5", "gpt-4o", "qwen3", "gpt-5.6")


def test_a_base_url_may_have_a_path(provider: StandIn) -> None:
    run(CLIENTS["gemini"](f"{provider.url}/v1beta", Heard()))
    [request] = provider.requests
    assert request.path == "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    assert request.query == {"alt": "sse"}


def test_answers_come_in_order_and_then_the_usual_ones(provider: StandIn) -> None:
    provider.answers(Answer(Text("first")), Answer(Text("second")))
    heard = [hear("responses", provider).text for _ in range(3)]
    provider.always(Answer(Text("again")))
    heard += [hear("responses", provider).text for _ in range(2)]
    assert heard == ["first", "second", "ok 3", "again", "again"]


# -- answers that go wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 529])
def test_a_refused_request_is_an_error_with_the_provider_s_words(
    client: str, provider: StandIn, status: int
) -> None:
    heard = hear(client, provider, HttpError(status, marker=MARKER, retry_after=1))
    assert len(provider.requests) == 1
    assert MARKER in str(heard.error)
    # LiteLLM tells what it does not know, an overload for one, as 500.
    assert cause(heard.error).status_code in ({status, 500} if status == 529 else {status})


def test_a_prompt_that_is_too_long_is_told_as_that(client: str, provider: StandIn) -> None:
    heard = hear(client, provider, HttpError(400, marker=MARKER, kind="context_length"))
    if client in THROUGH_LITELLM:
        assert isinstance(heard.error, litellm.ContextWindowExceededError)
    else:
        assert isinstance(heard.error, openai.BadRequestError)
        assert heard.error.code == "context_length_exceeded"


def test_a_wrong_key_that_gemini_tells_with_400_is_told_as_that(provider: StandIn) -> None:
    heard = hear("gemini", provider, HttpError(400, marker=MARKER, kind="bad_key"))
    assert isinstance(heard.error, litellm.AuthenticationError)


@pytest.mark.parametrize("before", [[], [Text("The answer is", pieces=3)]])
def test_an_error_in_mid_stream_is_raised(
    client: str, provider: StandIn, before: list[Piece]
) -> None:
    heard = hear(client, provider, Answer(*before, Fault(marker=MARKER)))
    assert heard.text == ("The answer is" if before else "")
    assert MARKER in str(heard.error)


@pytest.mark.parametrize(("form", "last"), [("flat", "error"), ("failed", "response.failed")])
def test_two_forms_of_responses_errors_are_still_events_that_raise_nothing(
    provider: StandIn, form: Any, last: str
) -> None:
    heard = hear("responses", provider, Answer(Text("Well"), Fault(marker=MARKER, form=form)))
    assert heard.error is None
    assert heard.finish == last


CUTS: dict[str, Reply] = {
    "between events": Answer(Text("The answer is", pieces=3), Cut()),
    "inside an event": Answer(Text("The answer is", pieces=3), Cut(inside=True)),
    "inside a tool call": Answer(Text("The answer is"), BERLIN, Cut(inside=True)),
    "after a silence": Answer(Text("The answer is"), Silence(0.05), Cut()),
    "before the first word": Answer(Cut()),
    "before the headers": Cut(),
}


@pytest.mark.parametrize("where", CUTS)
def test_a_cut_connection_is_raised(client: str, provider: StandIn, where: str) -> None:
    heard = hear(client, provider, CUTS[where])
    assert heard.text == ("" if "before" in where else "The answer is")
    assert heard.error is not None
    assert not isinstance(heard.error, asyncio.TimeoutError)
    assert len(provider.requests) == 1


def test_an_answer_without_an_end_is_raised_or_still_passes_for_a_complete_one(
    client: str, provider: StandIn
) -> None:
    heard = hear(client, provider, Answer(Text("The answer is", pieces=3), NoFinish()))
    assert heard.text == "The answer is"
    if client in THROUGH_LITELLM:
        assert hear(client, provider, Answer(Text("It is 42."))).noted_finish == "stop"
    if client in ("anthropic", "azure"):
        assert "before a finish_reason was received" in str(heard.error)
        return
    assert heard.error is None
    if client == "gemini":
        # LiteLLM makes a reason up, and notes it as if it had been said: it takes every chunk of
        # Gemini for the last.
        assert heard.finish == "stop"
        assert heard.noted_finish == "stop"
    elif client == "responses":
        assert heard.finish == "response.output_text.delta"
    else:
        assert heard.finish is None


def test_a_malformed_line_is_raised_or_still_swallowed_with_all_that_follows(
    client: str, provider: StandIn
) -> None:
    answer = Answer(Text("The answer is", pieces=3), MalformedJson(MARKER), Text(" 42."))
    heard = hear(client, provider, answer)
    assert heard.text == "The answer is"
    if client == "gemini":
        assert heard.error is None
        assert heard.finish == "stop"
        assert heard.noted_finish == "stop"
    else:
        assert heard.error is not None


def test_a_body_that_is_no_stream_still_passes_for_an_empty_answer(
    client: str, provider: StandIn
) -> None:
    heard = hear(client, provider, MalformedJson(MARKER))
    assert (heard.text, heard.error) == ("", None)
    assert heard.noted_finish is None


# -- clients that leave --------------------------------------------------------------------------

SILENCES: dict[str, list[Piece]] = {
    "before the headers": [Silence(30)],
    "after the headers": [Silence(30, headers=True)],
    "in mid-answer": [Text("The answer is", pieces=3), Silence(30)],
    "between words": [Text(["word "] * 1000)],
}


@pytest.mark.parametrize("where", SILENCES)
def test_a_client_that_leaves_is_noticed_at_once(
    client: str, provider: StandIn, where: str
) -> None:
    provider.answers(Answer(*SILENCES[where], delay=0.03 if where == "between words" else 0))

    async def leave() -> float:
        asking = asyncio.create_task(CLIENTS[client](provider.url, heard := Heard()))
        await asyncio.to_thread(provider.wait_request, 0, 5)
        if "headers" not in where:
            await heard.spoken.wait()
        await asyncio.sleep(0.05)
        assert not provider.closed(0)
        asking.cancel()
        left = time.monotonic()
        await asyncio.wait({asking})
        assert await asyncio.to_thread(provider.wait_closed, 0, 1)
        return left

    left = run(leave())
    assert (closed_at := provider.requests[0].closed_at) is not None
    assert closed_at - left < 0.5
    assert provider.requests[0].ended_at is None


# -- the wire itself -----------------------------------------------------------------------------


ENDPOINTS: dict[str, dict[str, Any]] = {
    "/models/gemini-3.5-flash:streamGenerateContent?alt=sse": {"contents": []},
    "/v1/messages": {"messages": [], "stream": True},
    "/v1/chat/completions": {"messages": [], "stream": True},
    "/v1/responses": {"input": "Hi", "stream": True},
}


def exchange(provider: StandIn, *bodies: dict[str, Any]) -> bytes:
    """Everything that comes back on one connection for these chat completions."""
    address = ("127.0.0.1", int(provider.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=5) as connection:
        for body in bodies:
            raw = json.dumps(body).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(raw)}\r\n\r\n"
            connection.sendall(head.encode() + raw)
        received = b""
        while data := connection.recv(65536):
            received += data
        return received


@pytest.mark.parametrize("path", ENDPOINTS)
def test_five_thousand_words_are_there_at_once(path: str, provider: StandIn) -> None:
    words = [f"word{number} " for number in range(5000)]
    provider.answers(Answer(Text(words)))
    began = time.monotonic()
    with httpx.stream("POST", provider.url + path, json=ENDPOINTS[path]) as response:
        received = response.read().decode()
    assert time.monotonic() - began < 3
    assert re.findall(r'"(word\d+ )"', received)[:5000] == words


def test_a_cut_inside_an_event_leaves_half_a_line_and_no_end(provider: StandIn) -> None:
    provider.answers(Answer(Text("Hello"), Cut(inside=True)))
    received = exchange(provider, {"messages": [], "stream": True})
    line = received.splitlines()[-1]
    assert line.startswith(b'data: {"id":')
    assert not line.endswith(b"}")
    assert b"\r\n0\r\n" not in received
    assert not provider.closed(0)


def test_a_connection_is_used_again(provider: StandIn) -> None:
    with httpx.Client(base_url=provider.url, trust_env=False) as http:
        ports = set()
        for _ in range(3):
            body = {"messages": [], "stream": True}
            with http.stream("POST", "/chat/completions", json=body) as response:
                ports.add(response.extensions["network_stream"].get_extra_info("client_addr"))
                assert response.read().endswith(b"data: [DONE]\n\n")
            assert http.get("/v1/models").json()["object"] == "list"
    assert len(ports) == 1


def test_an_unknown_address_is_not_found_and_noted(provider: StandIn) -> None:
    assert httpx.post(f"{provider.url}/v1/embeddings", json={}).status_code == 404
    assert provider.unexpected == ["POST /v1/embeddings"]
    assert provider.requests == []


def test_a_request_that_the_stand_in_cannot_read_fails_the_test() -> None:
    provider = StandIn()
    provider.start()
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{provider.url}/v1/responses", json={"input": "Hi"})
    with pytest.raises(ValueError, match="only streams"):
        provider.stop()


def test_responses_number_their_events_and_give_every_item_an_id_of_its_own(
    provider: StandIn,
) -> None:
    provider.answers(Answer(Thought("Hm."), Text("One"), BERLIN, TOKYO, Text("Two")))
    body = {"model": "gpt-5.6", "input": "Hi", "stream": True}
    lines = httpx.post(f"{provider.url}/v1/responses", json=body).text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == events[-1]["response"]["output"]
    assert len({item["id"] for item in done}) == 5
    kinds = [item["type"] for item in done]
    assert kinds == ["reasoning", "message", "function_call", "function_call", "message"]
