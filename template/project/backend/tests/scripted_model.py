"""A model that says what a test wrote, and remembers what it was told."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from agents import Model, ModelResponse, ModelSettings
from agents.items import TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseFunctionToolCall,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
)

from core.models.provider import Models
from core.models.source import ModelSource

Answer = str | ResponseFunctionToolCall | list[ResponseFunctionToolCall] | Exception


class ScriptedModel(Model):
    """Gives one of `answers` for each call, in order: a text, a tool call or several, a failure."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.inputs: list[list[Any]] = []
        """The input of each call."""
        self.instructions: list[str | None] = []
        self.settings: list[ModelSettings] = []

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        raise NotImplementedError("the backend streams")

    async def stream_response(
        self, system_instructions: str | None, input: Any, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        self.instructions.append(system_instructions)
        self.settings += args[:1]
        self.inputs.append(list(input))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            events = text_events(answer)
        else:
            events = call_events(*(answer if isinstance(answer, list) else [answer]))
        for event in events:
            yield event


class ScriptedSource(ModelSource):
    """Hands the scripted model to the server, whatever its name."""

    def __init__(self, model: ScriptedModel, name: str = "scripted") -> None:
        super().__init__(name)
        self.scripted = model

    def load(self) -> Model:
        return self.scripted


def scripted_models(model: ScriptedModel) -> Models:
    """The models of a project in which the scripted one answers, whatever an agent names."""
    return Models("scripted", "scripted", partial(ScriptedSource, model))


def tool_call(
    name: str, arguments: str = "{}", call_id: str = "call_1"
) -> ResponseFunctionToolCall:
    """A call of a tool, for ScriptedModel's answers."""
    return ResponseFunctionToolCall(
        type="function_call", id="fc_1", call_id=call_id, name=name, arguments=arguments
    )


def text_events(text: str) -> list[TResponseStreamEvent]:
    begun = ResponseOutputMessage(
        id="msg_1", type="message", role="assistant", status="in_progress", content=[]
    )
    part = ResponseOutputText(type="output_text", text=text, annotations=[])
    done = begun.model_copy(update={"status": "completed", "content": [part]})
    return [
        ResponseOutputItemAddedEvent(
            type="response.output_item.added", item=begun, output_index=0, sequence_number=0
        ),
        ResponseContentPartAddedEvent(
            type="response.content_part.added",
            item_id="msg_1",
            output_index=0,
            content_index=0,
            part=part.model_copy(update={"text": ""}),
            sequence_number=1,
        ),
        *[
            ResponseTextDeltaEvent(
                type="response.output_text.delta",
                item_id="msg_1",
                output_index=0,
                content_index=0,
                delta=word,
                logprobs=[],
                sequence_number=2 + number,
            )
            for number, word in enumerate(text.split(" "))
        ],
        ResponseOutputItemDoneEvent(
            type="response.output_item.done", item=done, output_index=0, sequence_number=1000
        ),
        completed(done),
    ]


def call_events(*calls: ResponseFunctionToolCall) -> list[TResponseStreamEvent]:
    events: list[TResponseStreamEvent] = []
    for index, call in enumerate(calls):
        events += [
            ResponseOutputItemAddedEvent(
                type="response.output_item.added", item=call, output_index=index, sequence_number=0
            ),
            ResponseOutputItemDoneEvent(
                type="response.output_item.done", item=call, output_index=index, sequence_number=1
            ),
        ]
    return [*events, completed(*calls)]


def completed(*items: ResponseOutputMessage | ResponseFunctionToolCall) -> ResponseCompletedEvent:
    response = Response(
        id="resp_1",
        created_at=0,
        model="scripted",
        object="response",
        output=list(items),
        tool_choice="auto",
        tools=[],
        parallel_tool_calls=True,
    )
    return ResponseCompletedEvent(
        type="response.completed", response=response, sequence_number=1001
    )
