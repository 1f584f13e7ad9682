"""What travels with one request: who asks, and under which id it is logged."""

import uuid
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

LOCAL_USER = "local"


def new_request_id() -> str:
    return uuid.uuid4().hex[:12]


def request_id_of(request: HTTPConnection) -> str:
    """The id under which the log has the request, the same whenever it is asked for."""
    state: dict[str, str] = request.scope.setdefault("state", {})
    return state.setdefault("request_id", new_request_id())


@dataclass(eq=False)  # No request is the same as another.
class RequestContext:
    """Reaches the server, the store, the agent and its tools with every request.

    `user_id` owns the threads; the other three are what a sign-in knows besides, for your tools.
    Without a sign-in everyone who can reach the port is the same user.
    """

    user_id: str = LOCAL_USER
    roles: frozenset[str] = frozenset()
    tenant: str | None = None
    locale: str | None = None
    request_id: str = field(default_factory=new_request_id)

    def signed(self, sentence: str) -> str:
        """The sentence as a person reads it, with the id under which the log has the cause."""
        return f"{sentence} (Request {self.request_id})"
