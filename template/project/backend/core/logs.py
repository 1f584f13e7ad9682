"""The log: one JSON object on each line of stderr, and nothing in it that a user has said.

Only what the project's own code raises is told in its own words: its author decides what they are.
"""

import logging

from structlog.contextvars import merge_contextvars
from structlog.processors import (
    EventRenamer,
    ExceptionRenderer,
    JSONRenderer,
    TimeStamper,
    format_exc_info,
)
from structlog.stdlib import ProcessorFormatter, add_log_level, add_logger_name
from structlog.typing import ExcInfo

from core.own_code import told

# These tell requests, responses and statements: a provider's words, and the user's.
TALKATIVE = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "aiosqlite", "asyncpg")


def configure_logging(level: str) -> None:
    """Log from this level on; the libraries never below INFO.

    At DEBUG every exception's own words are told as well, which may quote a message.
    """
    number: int = getattr(logging, level.upper())
    handler = logging.StreamHandler()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[
                merge_contextvars,  # the request_id, from http/hosts_and_headers.py
                TimeStamper(fmt="iso", utc=True, key="time"),
                add_log_level,
                add_logger_name,
                format_exc_info if number == logging.DEBUG else ExceptionRenderer(places),
                EventRenamer("message"),
            ],
            processors=[ProcessorFormatter.remove_processors_meta, JSONRenderer()],
        )
    )
    if number != logging.DEBUG:
        handler.addFilter(without_words)
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler])
    logging.getLogger("app").setLevel(number)
    logging.captureWarnings(True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # The command `uvicorn` has given these handlers of their own by now.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").addFilter(without_query)


def without_words(record: logging.LogRecord) -> bool:
    """Of an exception that is a line itself, as ChatKit logs it, let the line tell the kind."""
    if isinstance(record.msg, BaseException):
        record.msg = type(record.msg).__qualname__
    return True


def without_query(record: logging.LogRecord) -> bool:
    """Take the query out of an access line's path: it is the client's, and may be a secret."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args
        )
    return True


def places(exc_info: ExcInfo) -> str:
    """The traceback, with the words of what the project's own code has raised, and no other's."""
    return told(exc_info[1])
