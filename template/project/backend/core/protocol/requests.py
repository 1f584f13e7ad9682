"""A request's body as a request of the ChatKit protocol, or a sentence about what is wrong."""

import json

from chatkit.types import ChatKitReq, ThreadsCustomActionReq, ThreadsSyncCustomActionReq
from pydantic import TypeAdapter, ValidationError

from core.errors import Refused
from core.stores.records import keep_unknown_properties
from core.text import repair_surrogates

keep_unknown_properties()
# Built once: ChatKitServer.process builds it anew for every request, which costs milliseconds.
REQUEST: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq)
MOST_VALUES = 10_000
"""Each value that is wrong costs pydantic an error, and all other requests their time."""


def parse(body: str | bytes | bytearray) -> ChatKitReq:
    """The request in a body. Raises Refused with the first thing that is wrong with it."""
    try:
        # Python's own reader takes half a character, as a browser writes one that was typed.
        values = [json.loads(body)]
        for value in values:  # They become more on the way, by what each one holds.
            if isinstance(value, dict | list):
                values += value.values() if isinstance(value, dict) else value
            if len(values) > MOST_VALUES:
                many = f"The request has too many values: the limit is {MOST_VALUES}."
                raise Refused(many, 413)
        # Written anew, lest what has the same name as a later value is validated uncounted.
        body = repair_surrogates(json.dumps(values[0], ensure_ascii=False))
    except (ValueError, RecursionError) as error:
        raise Refused(f"The body is not JSON: {error}.") from None
    try:
        request = REQUEST.validate_json(body)
    except ValidationError as error:
        raise as_sentence(error) from None
    if isinstance(request, ThreadsCustomActionReq | ThreadsSyncCustomActionReq):
        # ChatKit takes an action without a type, and gives it a TypeVar for one:
        # https://github.com/openai/chatkit-python/blob/main/chatkit/actions.py
        if not isinstance(request.params.action.type, str):
            raise Refused("params.action.type: Field required.")
        # An empty id names no widget, as for ChatKit's own server.
        request.params.item_id = request.params.item_id or None
    return request


def as_sentence(error: ValidationError) -> Refused:
    """The first thing that is wrong with a request."""
    first = error.errors(include_url=False, include_input=False)[0]
    reason = first["msg"]
    if first["type"].startswith("union_tag"):
        if not first["loc"]:
            return Refused("The request's type is not an operation of the ChatKit protocol.")
        reason = "this type is not known"  # pydantic would quote it, however long it is.
    # The client's own names may stand in the path.
    path = json.dumps(".".join(map(str, first["loc"][1:])))[1:-1][:100]
    return Refused(f"{path or 'The body'}: {reason}.")


def thread_id_of(request: ChatKitReq) -> str | None:
    """The thread that a request is about; one that makes a thread has none."""
    thread_id: str | None = getattr(request.params, "thread_id", None)
    return thread_id
