"""A client of the backend for the tests: it talks as ChatKit's web component does."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """The app on a free port of this machine, and a client of it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        running = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not running.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        # To load certificates, of which http needs none, takes as long as a test.
        with httpx.Client(base_url=url, verify=False) as http:
            yield http
        running.should_exit = True
        thread.join(10)


class Chat:
    """Talks to the backend as ChatKit's web component does."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, type: str, **params: Any) -> httpx.Response:
        return self.http.post("/chatkit", json={"type": type, "params": params})

    def say(self, text: str, thread_id: str | None = None) -> list[dict[str, Any]]:
        """Send a message, in a new thread if none is named. The events of the answer."""
        message = {
            "content": [{"type": "input_text", "text": text}],
            "attachments": [],
            "inference_options": {},
        }
        if thread_id is None:
            return self.stream("threads.create", input=message)
        return self.stream("threads.add_user_message", thread_id=thread_id, input=message)

    def stream(self, type: str, **params: Any) -> list[dict[str, Any]]:
        """The events that answer a request."""
        response = self.post(type, **params)
        assert response.status_code == 200, response.text
        return [
            json.loads(line.removeprefix("data: "))
            for line in response.text.splitlines()
            if line.startswith("data: ")
        ]

    def messages(self, thread_id: str) -> list[str]:
        """What was said in the thread, oldest first, as it is stored."""
        page = self.post("items.list", thread_id=thread_id, order="asc").json()
        return [
            "".join(part["text"] for part in item["content"])
            for item in page["data"]
            if item["type"] in ("user_message", "assistant_message")
        ]


def thread_of(events: list[dict[str, Any]]) -> str:
    """The thread that these events belong to."""
    created = next(event for event in events if event["type"] == "thread.created")
    thread_id: str = created["thread"]["id"]
    return thread_id
