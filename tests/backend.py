"""A rendered project, served for real: its app on a real socket, talked to as a client would."""

import asyncio
import importlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

USER_INPUT: dict[str, Any] = {"attachments": [], "inference_options": {}}


def load_project(project: Path, env: Mapping[str, str]) -> ModuleType:
    """Import the project's `main` afresh under these settings; other modules stay loaded."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("main", "app", "core")]:
        del sys.modules[name]
    if litellm := sys.modules.get("litellm"):
        # Its clients are mended by the modules that were just put away.
        litellm.in_memory_llm_clients_cache.flush_cache()
        vars(litellm).pop("module_level_aclient", None)
    backend = str(project / "backend")
    sys.path.insert(0, backend)
    before = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        return importlib.import_module("main")
    finally:
        sys.path.remove(backend)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class PromptServer(uvicorn.Server):
    """Ends as soon as it is told to; uvicorn looks ten times a second."""

    async def main_loop(self) -> None:
        told = await self.on_tick(0)
        while not told:
            await asyncio.sleep(0.01)
            told = await self.on_tick(0)


class Client:
    """Talks to a backend as a chat page does, with what its requests bring along."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, type: str, **params: Any) -> httpx.Response:
        return self.http.post("/chatkit", json={"type": type, "params": params})

    def ask(self, type: str, **params: Any) -> Any:
        """An answer in one piece, decoded."""
        response = self.post(type, **params)
        assert response.status_code == 200, response.text
        return response.json()

    def say(self, text: str, thread: str | None = None, **options: Any) -> "Turn":
        """Send a message, in a new thread if none is named, and read the turn to its end.

        `options` are its inference_options.
        """
        return Turn.of(list(self.events(*message(text, thread, **options))))

    def turn(self, type: str, **params: Any) -> "Turn":
        return Turn.of(list(self.events(type, params)))

    def events(self, type: str, params: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """The turn's events as they come; to close this is to leave."""
        with self.stream(type, params) as response:
            assert response.status_code == 200, response.read()
            yield from sse(response)

    @contextmanager
    def stream(self, type: str, params: Mapping[str, Any]) -> Iterator[httpx.Response]:
        body = {"type": type, "params": params}
        with self.http.stream("POST", "/chatkit", json=body) as response:
            yield response

    def items(self, thread: str, **params: Any) -> list[dict[str, Any]]:
        """The thread's items, oldest first, as a client that reloads sees them."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = self.ask("items.list", thread_id=thread, order="asc", after=after, **params)
            found += page["data"]
            if not page["has_more"]:
                return found
            after = page["after"]

    def texts(self, thread: str) -> list[tuple[str, str]]:
        """Who said what in the thread, as it is stored."""
        return [
            (item["type"].removesuffix("_message"), text_of(item))
            for item in self.items(thread)
            if item["type"] in ("user_message", "assistant_message")
        ]


class Backend(Client):
    """A project's app under uvicorn in a thread of its own. Use it as a context manager."""

    def __init__(
        self,
        project: Path,
        env: Mapping[str, str],
        server: Callable[[ModuleType], Any] | None = None,
        headers: Mapping[str, str] | None = None,
        served: Callable[[ModuleType], Any] | None = None,
    ) -> None:
        """`server` makes another ChatKit server than the project's own, out of its modules.

        `headers` go with every request: who is signed in. `served` makes what is served instead of
        the project's `app`: another one, say, that has it at a path of its own.
        """
        self.main = load_project(project, env)
        if server is not None:
            main: Any = self.main
            main.server = server(self.main)
            main.app = main.build_app(main.settings, main.server)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._server = PromptServer(
            uvicorn.Config(
                served(self.main) if served else self.main.app,
                log_config=None,
                timeout_graceful_shutdown=3,
            )
        )
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        super().__init__(self.client(headers))

    def client(self, headers: Mapping[str, str] | None = None) -> httpx.Client:
        """Somebody else, who sends these headers."""
        return httpx.Client(
            base_url=self.url,
            timeout=30,
            trust_env=False,
            headers=headers,
            # To load certificates, of which http needs none, takes as long as a test.
            verify=False,
        )

    def _serve(self) -> None:
        self.loop = (self._server.config.get_loop_factory() or asyncio.new_event_loop)()
        self.loop.run_until_complete(self._server.serve(sockets=[self._socket]))
        self.loop.close()

    def __enter__(self) -> "Backend":
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline and self._thread.is_alive(), "did not start"
            time.sleep(0.005)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join(15)
        self._socket.close()
        assert not self._thread.is_alive(), "did not stop"

    def ready(self, seconds: float = 20) -> None:
        """Wait until /ready says so."""
        deadline = time.monotonic() + seconds
        while (response := self.http.get("/ready")).status_code != 200:
            assert time.monotonic() < deadline, response.text
            time.sleep(0.02)

    def settle(self, seconds: float = 5) -> None:
        """Wait until every turn has ended, also those that nobody listens to."""
        deadline = time.monotonic() + seconds
        while self.main.server.turns._tasks:
            assert time.monotonic() < deadline, "a turn goes on"
            time.sleep(0.01)


def app_with_page_at(path: str, main: ModuleType) -> FastAPI:
    """The app that the project would have if its wiring named this path for its chat page."""
    wiring = main.build_app.__globals__
    wiring["add_chat_page"] = partial(wiring["add_chat_page"], path=path)
    app: FastAPI = main.build_app(main.settings, main.server)
    return app


def within(app: FastAPI, path: str) -> FastAPI:
    """Another application, which has this one at `path`."""
    parent = FastAPI(openapi_url=None)
    importlib.import_module("core.http.mount").mount(parent, path, app)
    return parent


def message(text: str, thread: str | None = None, **options: Any) -> tuple[str, dict[str, Any]]:
    """A request with a message; `options` are its inference_options."""
    content = {"content": [{"type": "input_text", "text": text}], **USER_INPUT}
    content["inference_options"] = options
    if thread is None:
        return "threads.create", {"input": content}
    return "threads.add_user_message", {"thread_id": thread, "input": content}


def sse(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line[6:])


def text_of(item: Mapping[str, Any]) -> str:
    return "".join(part["text"] for part in item["content"])


@dataclass
class Turn:
    """What a client has seen of one turn."""

    events: list[dict[str, Any]]
    thread: str = ""
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The items as they stand at the end, by id, in the order in which they came."""
    removed: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, events: list[dict[str, Any]]) -> "Turn":
        turn = cls(events)
        for event in events:
            match event["type"]:
                case "thread.created":
                    turn.thread = event["thread"]["id"]
                case "thread.item.added" | "thread.item.done" | "thread.item.replaced":
                    done = event["type"] != "thread.item.added"
                    turn.items[event["item"]["id"]] = {**event["item"], "done": done}
                    turn.thread = event["item"]["thread_id"]
                case "thread.item.removed":
                    # Retry removes what came in an earlier turn.
                    turn.items.pop(event["item_id"], None)
                    turn.removed.append(event["item_id"])
                case "error":
                    turn.errors.append(event)
        return turn

    @property
    def answers(self) -> list[str]:
        """The assistant's messages."""
        return [
            text_of(item) for item in self.items.values() if item["type"] == "assistant_message"
        ]

    @property
    def text(self) -> str:
        return "\n".join(self.answers)

    @property
    def deltas(self) -> str:
        """What a client has drawn from the deltas alone."""
        return "".join(
            event["update"]["delta"]
            for event in self.events
            if event["type"] == "thread.item.updated" and "delta" in event["update"]
        )

    @property
    def ghosts(self) -> list[dict[str, Any]]:
        """Items that were begun and never ended."""
        return [item for item in self.items.values() if not item["done"]]
