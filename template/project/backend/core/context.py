"""What travels with one request: who asks, under which id it is logged, and what it may use."""

import uuid
from dataclasses import dataclass, field
from typing import Any, Generic

from chatkit.store import Store
from chatkit.types import ThreadMetadata
from starlette.requests import HTTPConnection
from typing_extensions import TypeVar

from core.sentences import Languages, Sentence

LOCAL_USER = "local"

ResourcesT = TypeVar("ResourcesT", default=Any)
"""What app/resources.py opens."""


def new_request_id() -> str:
    return uuid.uuid4().hex[:12]


def request_id_of(request: HTTPConnection) -> str:
    """The id under which the log has the request, the same whenever it is asked for."""
    state: dict[str, str] = request.scope.setdefault("state", {})
    return state.setdefault("request_id", new_request_id())


@dataclass(eq=False)  # No request is the same as another.
class RequestContext(Generic[ResourcesT]):
    """Reaches the server, the store, the agent, its tools, actions and routes with every request.

    `user_id` owns the threads; roles and tenant are what a sign-in knows besides. Without a
    sign-in everyone who can reach the port is the same user. `locale` is the language that the
    sign-in has, or else the browser's, such as de-CH.
    """

    user_id: str = LOCAL_USER
    roles: frozenset[str] = frozenset()
    tenant: str | None = None
    locale: str | None = None
    request_id: str = field(default_factory=new_request_id)
    # The server sets these three before anybody else gets the context.
    store: "Store[RequestContext[Any]]" = field(init=False, repr=False)
    """The conversations; each of its methods takes this context, and finds only this user's."""
    resources: ResourcesT = field(init=False, repr=False)
    """What app/resources.py has opened."""
    languages: Languages = field(default=Languages(), init=False, repr=False)
    """What the server says in each language."""
    set_aside: frozenset[str] = field(default=frozenset(), init=False, repr=False)
    """The items that the store does not list for this request: the answer that Retry replaces."""
    thread: ThreadMetadata = field(init=False, repr=False)
    """The thread of an action, for its handler."""

    def signed(self, sentence: str) -> str:
        """The sentence as a person reads it, with the id under which the log has the cause."""
        told, id = self.told(sentence), self.request_id
        return self.told(Sentence("{sentence} (Request {id})", sentence=told, id=id))

    def told(self, sentence: str) -> str:
        """The sentence in the user's language, if the template or the project has it there."""
        return self.languages.told(sentence, self.locale)
