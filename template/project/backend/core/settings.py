"""What the environment, or .env at the project's root, may set: read once, and checked."""

import importlib
import logging
import os
import socket
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

# ChatKit takes LOG_LEVEL for itself when it is imported, so that every line would come twice, and
# a wrong level would end in a traceback.
_level = os.environ.pop("LOG_LEVEL", None)
importlib.import_module("chatkit.logger")
if _level is not None:
    os.environ["LOG_LEVEL"] = _level

BACKEND = Path(__file__).resolve().parents[1]


def project_root(backend: Path) -> Path:
    """The folder above backend/, or backend/ itself where nothing else of the project came along.

    A container may hold backend/ alone, and what lies above it is not the project's.
    """
    marks = (".copier-answers.yml", ".env", ".env.example", "chat.db")
    above = backend.parent
    return above if any((above / mark).exists() for mark in marks) else backend


ROOT = project_root(BACKEND)
"""The project's folder: .env lies here, and relative database paths begin here."""
PORT_RULE = "a whole number from 1 to 65535"
REMEDY = "Set it in .env or the environment."


def comma_separated(value: Any) -> Any:
    """A text as a list of its parts, in lower case."""
    if not isinstance(value, str):
        return value
    return [part.strip().lower() for part in value.split(",") if part.strip()]


Origin = Annotated[
    str,
    StringConstraints(pattern=r"^(\*|https?://([\w.-]+|\[[\da-f:.]+\])(:[1-9]\d{0,4})?/?)$"),
    AfterValidator(lambda origin: origin.rstrip("/")),
]
Origins = Annotated[list[Origin], NoDecode, BeforeValidator(comma_separated)]


class ServerSettings(BaseSettings):
    """The settings that every project has. Each description is the rule that a bad value breaks."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env", env_file_encoding="utf-8-sig", env_ignore_empty=True, extra="ignore"
    )

    host: str = Field(default="127.0.0.1", description="an address of this machine")
    port: int = Field(default=8000, ge=1, le=65535, description=PORT_RULE)
    debug: bool = Field(default=True, description="true or false")
    log_level: str = Field(
        default="INFO",
        pattern="(?i)^(debug|info|warning|error|critical)$",
        description="DEBUG, INFO, WARNING, ERROR or CRITICAL",
    )
    allowed_origins: Origins = Field(
        default=[],
        description="a comma-separated list such as https://example.com,https://www.example.com",
    )
    max_body_bytes: int = Field(
        default=1_048_576, ge=1024, description="a number of bytes, at least 1024"
    )


class WrongPart(ValueError):
    """Raised by a setting's own check: a sentence about what is wrong in it, without its value."""


SettingsT = TypeVar("SettingsT", bound=ServerSettings)


def load(settings: type[SettingsT]) -> SettingsT:
    """The settings as they stand now. Bad ones end the program: a line for each, exit code 2."""
    try:
        return settings()
    except UnicodeDecodeError:
        give_up("the file .env is not UTF-8 text. Save it as UTF-8.")
    except ValidationError as error:
        tell_misspelt(settings)
        rules = {name: field.description for name, field in settings.model_fields.items()}
        wrong: dict[str, str] = {}
        for each in error.errors(include_input=False):
            name, cause = str(each["loc"][0]).lower(), each.get("ctx", {}).get("error")
            part = f"{cause} " if isinstance(cause, WrongPart) else ""
            wrong[name] = f"{name.upper()} must be {rules[name]}. {part}{REMEDY}"
        give_up(*(wrong[name] for name in sorted(wrong)))


def use_other_lines(settings: ServerSettings) -> None:
    """Put what else stands in .env into the environment, for libraries that look there.

    A proxy's address is such, or another provider's key. The settings themselves stay out: they
    hold secrets, and what this process starts inherits its environment.
    """
    tell_misspelt(type(settings))
    for name, value in other_lines(type(settings)).items():
        if value:
            os.environ.setdefault(name, value)


def tell_misspelt(settings: type[ServerSettings]) -> None:
    """Print a line for each name in .env that is nearly a setting's."""
    names = sorted(name.upper() for name in settings.model_fields)
    for name in other_lines(settings):
        # The names of two providers' keys are alike, and both may be meant.
        alike = 0.9 if "_API_" in name.upper() else 0.75 if len(name) < 6 else 0.8
        if near := get_close_matches(name.upper(), names, n=1, cutoff=alike):
            print(f".env: {name} is no setting. Did you mean {near[0]}?", file=sys.stderr)


def other_lines(settings: type[ServerSettings]) -> dict[str, str | None]:
    """The lines of .env that are none of these settings."""
    lines = dotenv_values(ROOT / ".env", encoding="utf-8-sig")
    return {
        name: value for name, value in lines.items() if name.lower() not in settings.model_fields
    }


def configure_logging(level: str) -> None:
    """Log to stderr from this level on; what libraries say below WARNING may quote a message."""
    number: int = getattr(logging, level.upper())
    logging.basicConfig(
        level=max(number, logging.WARNING), format="%(levelname)s %(name)s: %(message)s"
    )
    for name in ("app", "chatkit", "uvicorn"):
        logging.getLogger(name).setLevel(number)


def check_address(host: str, port: int) -> None:
    """End the program with a sentence if another one listens there, or nobody can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        give_up(f"{host}:{port}: {reason}. Set HOST and PORT in .env or the environment.")


def give_up(*sentences: str) -> NoReturn:
    """End the program with these sentences and exit code 2."""
    print(*(f"Cannot start: {sentence}" for sentence in sentences), sep="\n", file=sys.stderr)
    raise SystemExit(2)
