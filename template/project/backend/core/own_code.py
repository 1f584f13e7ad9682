"""Whether the project's own code has failed, as its traceback tells, and its words for the log."""

import logging
import os
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from agents import UserError

from core.sentences import Sentence

T = TypeVar("T")

CORE = os.path.join(Path(__file__).parent, "")
PYTHON = os.path.join(sysconfig.get_path("stdlib"), "")
PROVIDERS = ("openai", "litellm")
"""The packages whose errors quote a provider, and with it a key or a message."""
CALLERS = ("agents", "chatkit")
"""The packages that call the project's functions."""
USERS = (__name__, "core.turns.")
"""The modules of core that use what the project's functions give back."""
MODEL_CALL = "agents.run_internal.model_retry"
"""Where the SDK asks a model: what fails within is the provider's, also of a model of one's own."""
TOOL_CALL = "agents.run_internal.tool_execution"
"""Where the SDK calls a tool: it quotes what the tool has raised, whatever that is."""
ABOUT_CODE = (TypeError, AttributeError, NameError, ImportError, NotImplementedError)
"""Their words name code, and quote nobody."""
OWN_FAILED = Sentence("The project's own code failed. The server's log has the cause.")


def is_own(error: BaseException) -> bool:
    """Whether it is the project's own code that failed, and no provider, store or library."""
    return not of_provider(error) and any(_by_project(each) for each in chain(error))


def given_by(hook: str, given: T, *kinds: type[Any]) -> T:
    """What a hook of the project has given back. Raises TypeError if it is none of these kinds."""
    if not isinstance(given, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{hook} has given back {type(given).__name__} instead of {wanted}")
    return given


def of_provider(error: BaseException) -> bool:
    """Whether it is a provider's error, or LiteLLM's."""
    return any(kind.__module__.partition(".")[0] in PROVIDERS for kind in type(error).__mro__)


def log_own(log: logging.Logger, line: str, *args: object, error: BaseException) -> None:
    """Log the line with the error's traceback and words; those of a provider stay out."""
    if any(of_provider(each) for each in chain(error)):
        log.error(f"{line}\n%s", *args, told(error))
    else:
        log.error(line, *args, exc_info=error)


def told(error: BaseException) -> str:
    """The traceback, with the words of what the project's own code has raised, and of no other.

    Others quote what they were given, as a database's do.
    """
    return "\n".join(_told(error))


def _told(error: BaseException) -> Iterator[str]:
    if cause := cause_of(error):
        yield from _told(cause)
        yield "which led to:"
    quotes_nobody = type(error) in ABOUT_CODE or _about_setup(error) or _by_project(error)
    words = str(error) if quotes_nobody and not of_provider(error) else ""
    kind = type(error).__qualname__ + (f": {words}" if words else "")
    yield "".join(traceback.format_tb(error.__traceback__)) + kind
    for inner in members_of(error):
        yield from _told(inner)


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what led to it, and the members of a group."""
    yield error
    for inner in members_of(error):
        yield from chain(inner)
    if cause := cause_of(error):
        yield from chain(cause)


def cause_of(error: BaseException) -> BaseException | None:
    """What led to the error, as Python's own tracebacks show it."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """The errors of an ExceptionGroup."""
    members: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return members


def kind_of(error: BaseException) -> str:
    """The name of the error's class, for everyone; that of a group's first member for a group."""
    members = members_of(error)
    return kind_of(members[0]) if members else type(error).__name__


def _by_project(error: BaseException) -> bool:
    """Whether the innermost frame that is no library's is the project's, and not core's.

    Or the SDK has failed as it called what the project gave it, such as a hook that takes too few
    arguments; or core, whose own types are checked, did as it used what a hook gave back.
    """
    module = module_of(error)
    if type(error) in ABOUT_CODE and module.partition(".")[0] in CALLERS:
        return True
    if type(error) in (TypeError, AttributeError) and module.startswith(USERS):
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(frame.f_globals.get("__name__") == MODEL_CALL for frame in frames):
        return False
    for frame in reversed(frames):
        if not is_library(file := frame.f_code.co_filename):
            return not file.startswith(CORE)
    return False


def _about_setup(error: BaseException) -> bool:
    """Whether it is the SDK's word about an agent, and not about what a model is told."""
    if wrapped_by_sdk(error) or not isinstance(error, UserError):
        return False
    return not module_of(error).startswith("agents.models")


def wrapped_by_sdk(error: BaseException) -> Exception | None:
    """What a tool has raised, if this is the SDK's error about it."""
    cause = error.__cause__
    quotes = type(error) is UserError and module_of(error) == TOOL_CALL
    return cause if quotes and isinstance(cause, Exception) else None


def module_of(error: BaseException) -> str:
    """The module that has raised it."""
    *_, (frame, _) = [(None, 0), *traceback.walk_tb(error.__traceback__)]
    return str(frame.f_globals.get("__name__")) if frame else ""


def is_library(file: str) -> bool:
    """Whether it is Python's or an installed package's; also what Python made up without a file."""
    installed = "site-packages" in file or "dist-packages" in file
    return installed or file.startswith(("<", PYTHON))
