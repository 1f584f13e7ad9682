"""What is answered with a sentence: refused requests, and a store that cannot be used."""

import logging

from chatkit.store import NotFoundError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from core.sentences import Sentence

log = logging.getLogger("app")

FAILED = Sentence("Something went wrong on the server.")


class Refused(Exception):
    """A request that is answered with a sentence, in the user's language, and an HTTP status.

    Actions, tools, routes and the hooks of app/server.py may raise it. Once a stream has begun it
    ends with the sentence, and the status is not sent.
    """

    def __init__(self, sentence: str, status: int = 400, **headers: str) -> None:
        super().__init__(sentence)
        self.sentence, self.status, self.headers = sentence, status, headers


class StoreError(Exception):
    """The store cannot be used. The text is for the log; `cause`, for everyone, names no place."""

    def __init__(self, sentence: str, cause: str) -> None:
        super().__init__(sentence)
        self.cause = cause


class ThreadBusy(Refused):
    """Somebody else has held the thread for the whole of the wait."""

    def __init__(self) -> None:
        super().__init__(
            Sentence("This conversation is still being answered. Wait for the answer, or stop it."),
            409,
            **{"Retry-After": "5"},
        )


def as_refused(error: Exception, request_id: str) -> Refused:
    """What a client is told of an error. The log gets the rest, but for an unforeseen traceback."""
    match error:
        case Refused():
            return error
        case HTTPException():
            return Refused(f"{error.detail}.", error.status_code, **(error.headers or {}))
        case ClientDisconnect():
            return Refused("The client has left.", 499)
        case NotFoundError():
            return Refused(Sentence("There is no such thread, item or attachment."), 404)
        case StoreError():
            log.error("request %s: %s", request_id, error)
            away = Sentence("The conversations cannot be reached now. Try again in a moment.")
            return Refused(away, 503, **{"Retry-After": "5"})
        case _:
            # Who swallows the error logs its traceback.
            log.error("request %s failed: %s", request_id, type(error).__name__)
            return Refused(FAILED, 500)
