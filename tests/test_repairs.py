"""What the template repairs in its libraries. A test that fails here says: this is mended upstream.

Then the repair that the test names can be deleted, and the test with it.
"""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from agents import (
    Agent,
    Model,
    ModelResponse,
    MultiProvider,
    OpenAIResponsesModel,
    RunConfig,
    RunContextWrapper,
    Runner,
    RunState,
    TResponseInputItem,
)
from agents.exceptions import UserError
from agents.extensions.models.litellm_model import LitellmModel
from agents.items import TResponseStreamEvent
from agents.models.chatcmpl_converter import Converter
from agents.tool import _FailureHandlingFunctionToolInvoker, default_tool_error_function
from chatkit.actions import Action
from chatkit.agents import (
    ResponseStreamConverter,
    ThreadItemConverter,
    _convert_annotation,
    _merge_generators,
    stream_agent_response,
)
from chatkit.server import ChatKitServer
from chatkit.store import default_generate_id
from chatkit.types import AssistantMessageContent, AssistantMessageItem
from openai import AsyncOpenAI
from openai.types.responses import (
    ResponseOutputTextAnnotationAddedEvent,
    ResponseTextDeltaEvent,
)
from pydantic import ValidationError

from tests.render import render
from tests.standins import Answer, Finish, NoFinish, StandIn, Text, Thought


def test_chatkit_s_converter_breaks_the_second_message() -> None:
    """item_converter.py: ItemConverter.assistant_message_to_input."""
    item = AssistantMessageItem(
        id="msg_1",
        thread_id="thr_1",
        created_at=datetime(2026, 1, 1),
        content=[AssistantMessageContent(text="Hello.")],
    )
    converted = asyncio.run(ThreadItemConverter().to_agent_input([item]))
    with pytest.raises(UserError, match="Unknown content"):
        Converter.items_to_messages(converted)


def test_a_run_s_state_breaks_what_an_assistant_has_said() -> None:
    """paused_run.py: restored."""
    said: TResponseInputItem = {"role": "assistant", "content": "Hello."}
    state = RunState(RunContextWrapper(None), [said], Agent(name="Agent")).to_json()
    with pytest.raises(UserError, match="Unhandled item type"):
        Converter.items_to_messages(state["original_input"])


async def raw_events(standin: StandIn) -> list[Any]:
    """What a chat-completions model of the Agents SDK says of an answer."""
    from agents import ModelSettings, ModelTracing, OpenAIChatCompletionsModel

    async with AsyncOpenAI(base_url=f"{standin.url}/v1", api_key="none") as client:
        stream = OpenAIChatCompletionsModel("stand-in", client).stream_response(
            system_instructions=None,
            input="Hello",
            model_settings=ModelSettings(),
            tools=[],
            output_schema=None,
            handoffs=[],
            tracing=ModelTracing.DISABLED,
            previous_response_id=None,
            conversation_id=None,
            prompt=None,
        )
        return [event async for event in stream]


def test_chat_completions_models_give_every_item_the_same_id(standin: StandIn) -> None:
    """raw_events.py: RawEvents."""
    events = asyncio.run(raw_events(standin))
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {"__fake_id__"}


def test_chat_completions_models_do_not_say_that_a_thought_is_done(standin: StandIn) -> None:
    """raw_events.py: RawEvents._end_of_thought."""
    standin.answers(Answer(Thought("Hm."), Text("Hello.")))
    types = [event.type for event in asyncio.run(raw_events(standin))]
    assert "response.reasoning_summary_text.delta" in types
    assert "response.reasoning_summary_text.done" not in types


def test_a_chat_completions_stream_that_breaks_off_passes_for_a_whole_answer(
    standin: StandIn,
) -> None:
    """complete_answers.py: FinishedStream."""
    standin.answers(Answer(Text("Hello"), NoFinish()))
    assert asyncio.run(raw_events(standin))[-1].type == "response.completed"


@pytest.fixture(scope="module")
def litellm_says() -> dict[str, str]:
    """What LiteLLM does by itself, in a process that has none of the repairs."""
    script = """
import asyncio, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import httpx, litellm
from tests.standins import Answer, Moved, NoFinish, Said, StandIn, Text, Usage

async def ask(url, model):
    messages = [{"role": "system", "content": "Obey."}, {"role": "user", "content": "Hello"}]
    stream = await litellm.acompletion(
        model=model, messages=messages, stream=True, api_base=url, api_key="none"
    )
    reason = None
    async for chunk in stream:
        reason = chunk.choices[0].finish_reason or reason
    stream.reason = reason
    return stream

with StandIn() as standin:
    standin.answers(Answer(Text("Hello"), NoFinish()), Answer(Text("Hello")))
    stream = asyncio.run(ask(standin.url, "gemini/gemini-3.8-flash"))
    print("finish", stream.received_finish_reason or stream.intermittent_finish_reason)
    asyncio.run(ask(standin.url, "gemini/gemini-99-flash"))
    print("system", repr(standin.requests[1].system))
    standin.answers(Answer(Text("Hello"), Said("length"), Usage(), NoFinish()))
    stream = asyncio.run(ask(standin.url, "gemini/gemini-3.8-flash"))
    print("later", stream.reason)
    standin.answers(Answer(Text(["word "] * 120)))
    try:
        asyncio.run(ask(standin.url, "gemini/gemini-3.8-flash"))
    except Exception as error:
        print("equal", "repeating" in str(error))
    with StandIn() as other:
        for model in ("anthropic/none", "openai/none"):
            standin.answers(Moved(f"{other.url}/v1/messages"))
            try:
                asyncio.run(ask(standin.url, model))
            except Exception:
                pass
        print("moved", len(other.requests), "x-api-key" in other.requests[0].headers)
    print("tokenizer", litellm.disable_hf_tokenizer_download)

from litellm.litellm_core_utils.core_helpers import map_finish_reason
sys.path.insert(0, "template/project/backend")
from core.models.litellm_models import INCOMPLETE
print("reasons", *map(map_finish_reason, INCOMPLETE))

async def lines():
    response = httpx.Response(200, content="data: one\\u2028two\\n".encode())
    return [line async for line in response.aiter_lines()]

print("lines", asyncio.run(lines()))

from core.models.litellm_models import mend_lines
mend_lines()

async def mended():
    async def parts():
        for part in ("grün\\r", "\\nzwei\\rä", "\\n\\u0085", "\\n\\nend"):
            yield part.encode("latin-1")

    headers = {"Content-Type": "text/plain; charset=iso-8859-1"}
    response = httpx.Response(200, headers=headers, content=parts())
    return [line async for line in response.aiter_lines()]

print("mended", asyncio.run(mended()))
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    lines = [line.split(" ", 1) for line in ran.stdout.splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def test_litellm_gives_every_chunk_of_gemini_a_finish_reason(litellm_says: dict[str, str]) -> None:
    """litellm_models.py: mend_gemini_finish_reason."""
    assert litellm_says["finish"] == "stop"


def test_litellm_takes_an_answer_that_is_not_whole_for_one_that_is(
    litellm_says: dict[str, str],
) -> None:
    """litellm_models.py: mend_finish_reasons."""
    assert set(litellm_says["reasons"].split()) == {"stop"}


def test_litellm_forgets_gemini_s_finish_reason_with_the_next_chunk(
    litellm_says: dict[str, str],
) -> None:
    """litellm_models.py: mend_later_chunks."""
    assert litellm_says["later"] == "stop"


def test_litellm_ends_an_answer_of_equal_pieces(litellm_says: dict[str, str]) -> None:
    """litellm_models.py: REPEATED_STREAMING_CHUNK_LIMIT."""
    assert litellm_says["equal"] == "True"


def test_litellm_takes_the_key_to_where_a_redirect_leads(litellm_says: dict[str, str]) -> None:
    """litellm_models.py: mend_clients."""
    assert litellm_says["moved"] == "2 True"


def test_litellm_fetches_tokenizers(litellm_says: dict[str, str]) -> None:
    """litellm_models.py: disable_hf_tokenizer_download."""
    assert litellm_says["tokenizer"] == "None"


def test_openai_s_client_follows_redirects() -> None:
    """openai_models.py and local_models.py: follow_redirects=False."""
    assert AsyncOpenAI(api_key="none")._client.follow_redirects


def test_openai_s_client_keeps_done_to_itself(standin: StandIn) -> None:
    """ended_streams.py: Done, which needs a private attribute of the client's stream."""
    standin.answers(Answer(Text("Hello"), Finish()))

    async def last() -> Any:
        async with AsyncOpenAI(base_url=f"{standin.url}/v1", api_key="none") as client:
            stream = await client.chat.completions.create(model="m", messages=[], stream=True)
            assert hasattr(stream, "_decoder")
            return [chunk async for chunk in stream][-1]

    assert asyncio.run(last()).choices[0].finish_reason == "stop"


CALLS: list[Any] = [
    {
        "type": "reasoning",
        "id": "__fake_id__",
        "summary": [],
        "provider_data": {
            "model": "claude",
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}],
        },
    },
    *(
        {"type": "function_call", "call_id": each, "name": "look", "arguments": "{}"}
        for each in ("call_1", "call_2")
    ),
    *(
        {"type": "function_call_output", "call_id": each, "output": "seen"}
        for each in ("call_1", "call_2")
    ),
]


def test_the_agents_sdk_sends_thoughts_back_only_with_an_effort() -> None:
    """litellm_models.py: ANY_THOUGHTS."""
    source = inspect.getsource(LitellmModel._fetch_response)
    assert "model_settings.reasoning.effort is not None" in source
    dropped = Converter.items_to_messages(CALLS, model="claude", preserve_thinking_blocks=False)
    assert "thinking_blocks" not in dropped[0]


def test_the_agents_sdk_gives_each_of_several_calls_a_message() -> None:
    """litellm_models.py: WholeLitellmModel._fix_tool_message_ordering."""
    messages = Converter.items_to_messages(CALLS, model="claude", preserve_thinking_blocks=True)
    fixed = LitellmModel("claude")._fix_tool_message_ordering(messages)
    assert [message["role"] for message in fixed] == ["assistant", "tool"] * 2
    assert "thinking_blocks" not in fixed[2]


def test_chatkit_shows_no_thought_that_is_no_summary() -> None:
    """raw_events.py: as_summary."""
    source = inspect.getsource(stream_agent_response)
    assert '"response.reasoning_text.delta"' not in source


def test_httpx_ends_a_line_where_json_goes_on(litellm_says: dict[str, str]) -> None:
    """litellm_models.py: mend_lines."""
    assert litellm_says["lines"] == "['data: one', 'two']"


def test_mended_lines_keep_the_encoding_of_the_response(litellm_says: dict[str, str]) -> None:
    """litellm_models.py: mend_lines, which the project's own clients have, too."""
    assert litellm_says["mended"] == repr(["grün", "zwei", "ä", "\x85", "", "end"])


def test_chatkit_does_not_take_an_annotation_of_the_openai_client() -> None:
    """raw_events.py: annotation_of."""
    page = {"type": "url_citation", "url": "https://example.com", "title": "A page"}
    event = ResponseOutputTextAnnotationAddedEvent.model_validate(
        {
            "type": "response.output_text.annotation.added",
            "annotation": page | {"start_index": 0, "end_index": 1},
            "annotation_index": 0,
            "content_index": 0,
            "item_id": "msg_1",
            "output_index": 0,
            "sequence_number": 0,
        }
    )
    with pytest.raises(ValidationError):
        asyncio.run(_convert_annotation(event.annotation, ResponseStreamConverter()))


def test_litellm_gives_a_gemini_model_it_does_not_know_no_system_prompt(
    litellm_says: dict[str, str],
) -> None:
    """litellm_models.py: introduce_gemini."""
    assert litellm_says["system"] == "''"


def test_the_agents_sdk_throws_away_what_came_in_one_burst_with_a_failure() -> None:
    """complete_answers.py: KeepsWhatCame, which needs a private function of agents.exceptions."""

    class Bursts(Model):
        async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
            raise NotImplementedError

        async def stream_response(
            self, *args: Any, **kwargs: Any
        ) -> AsyncIterator[TResponseStreamEvent]:
            for number in range(3):
                yield ResponseTextDeltaEvent(
                    content_index=0,
                    delta="word ",
                    item_id="msg_1",
                    logprobs=[],
                    output_index=0,
                    sequence_number=number,
                    type="response.output_text.delta",
                )
            raise RuntimeError("the connection is lost")

    async def deltas() -> int:
        run = Runner.run_streamed(Agent(name="Assistant", model=Bursts()), "Hello")
        heard = 0
        with pytest.raises(RuntimeError):
            async for event in run.stream_events():
                heard += event.type == "raw_response_event"
        return heard

    assert asyncio.run(deltas()) < 3


def test_chatkit_s_ids_have_eight_digits() -> None:
    """stores/base.py: new_id."""
    assert len(default_generate_id("thread").partition("_")[2]) == 8


def test_chatkit_leaves_a_task_behind_when_a_run_raises() -> None:
    """watched_run.py: WatchedRun, which never raises."""

    async def fails() -> AsyncIterator[int]:
        raise ValueError
        yield 1

    async def waits() -> AsyncIterator[int]:
        await asyncio.sleep(3600)
        yield 2

    async def left_behind() -> int:
        with pytest.raises(ValueError):
            async for _ in _merge_generators(fails(), waits()):
                pass
        await asyncio.sleep(0)
        return len(asyncio.all_tasks()) - 1

    assert asyncio.run(left_behind()) == 1


def test_chatkit_takes_an_action_without_a_type() -> None:
    """requests.py: parse."""
    assert not isinstance(Action[str, Any].model_validate({}).type, str)


def test_chatkit_builds_an_adapter_for_every_request() -> None:
    """protocol/requests.py: REQUEST."""
    assert "TypeAdapter" in ChatKitServer.process.__code__.co_names


def test_chatkit_logs_through_a_handler_of_its_own() -> None:
    """settings.py: LOG_LEVEL is away while chatkit is imported."""
    script = "import chatkit.server, logging; print(len(logging.getLogger('chatkit').handlers))"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={"LOG_LEVEL": "info", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "1"


@pytest.mark.parametrize(
    ("provider", "script"),
    [
        (
            "openai",
            "from openai.types.responses import Response\n"
            "from core.models.openai_models import OpenAISource as Source\n"
            "def built(): return Response.__pydantic_complete__\n",
        ),
        (
            "gemini",
            "import sys, litellm\n"
            "from core.models.litellm_models import LitellmSource as Source\n"
            "def built(): return 'litellm.litellm_core_utils.default_encoding' in sys.modules\n",
        ),
    ],
)
def test_the_first_answer_finds_what_reads_it_built(provider: str, script: str) -> None:
    """openai_models.py: rehearse, and its like in litellm_models.py."""
    load = f"before = built(); Source('{provider}/none', api_key='none').load()"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{script}{load}; print(before, built())"],
        cwd=render(level=2, provider=provider, store="sqlite") / "backend",
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "False True"


def test_the_agents_sdk_asks_openai_where_a_run_names_no_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """runs_beside.py: ProjectRunner, and what it takes for a provider that nobody has chosen."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    provider = RunConfig().model_provider
    assert type(provider) is MultiProvider
    assert isinstance(provider.get_model(None), OpenAIResponsesModel)
    for name in ("_stored_api_key", "_stored_base_url", "_stored_organization"):
        assert getattr(MultiProvider().openai_provider, name) is None


def test_chatkit_s_classes_drop_what_they_do_not_know() -> None:
    """stores/records.py: keep_unknown_properties, and without_nulls."""
    # In a process of its own: a project that was loaded in this one has mended them.
    code = """
import warnings
warnings.simplefilter("ignore")
from chatkit.types import ThreadItem, ThreadMetadata
from chatkit.widgets import Card, DynamicWidgetRoot
from pydantic import TypeAdapter, ValidationError

action = {"type": "go", "payload": {"dish": None}}
shown = {"type": "Card", "children": [], "confirm": {"label": "Go", "action": action}, "border": 1}
item = {"type": "widget", "id": "w", "thread_id": "t", "created_at": "2026-03-04T12:00:00"}
loaded = TypeAdapter(ThreadItem).validate_python(item | {"widget": shown}).widget
assert "border" not in loaded.model_dump()
assert "border" not in Card(children=[], border=1).model_dump()
sent = DynamicWidgetRoot.model_validate(shown).model_dump()
assert sent["confirm"]["action"]["payload"] == {}
try:
    TypeAdapter(ThreadItem).validate_python(item | {"type": "poll"})
except ValidationError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "refused\n", done.stderr


def test_chatkit_s_retry_deletes_the_answer_before_there_is_another_one() -> None:
    """turns/retry.py."""
    source = inspect.getsource(ChatKitServer._process_streaming_impl)
    retry = source[source.index("case ThreadsRetryAfterItemReq()") :]
    assert 0 < retry.index("delete_thread_item") < retry.index("self.respond(")


def test_chatkit_has_room_for_one_generated_image() -> None:
    """raw_events.py: OneImage."""
    source = inspect.getsource(stream_agent_response)
    assert "ctx.generated_image_item = GeneratedImageItem(" in source


def test_chatkit_ends_a_workflow_once_more() -> None:
    """run_events.py: chatkit_events; watched_run.py: WatchedRun.stream_events."""
    source = inspect.getsource(stream_agent_response)
    assert "ctx.workflow_item = event.item" in source
    assert "item.workflow.expanded = False" in source


def test_an_agent_that_is_a_tool_fails_without_a_word_to_its_run() -> None:
    """failed_tools.py: log_failed_tools."""
    asked = inspect.signature(Agent.as_tool).parameters["failure_error_function"].default
    assert asked is default_tool_error_function
    called = _FailureHandlingFunctionToolInvoker.__call__.__code__.co_names
    assert "maybe_invoke_function_tool_failure_error_function" in called
