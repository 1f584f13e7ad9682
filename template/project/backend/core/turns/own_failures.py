"""What the project's own code raises in a turn, as the chat and the log have it."""

import logging
from collections.abc import AsyncIterator, Callable

from chatkit.errors import CustomStreamError, StreamError
from chatkit.types import ThreadStreamEvent

from core.context import RequestContext
from core.errors import Refused
from core.own_code import OWN_FAILED, given_by, is_own, log_own

log = logging.getLogger("app")


async def own_failures_told(
    stream: Callable[[], AsyncIterator[ThreadStreamEvent]], context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    """The stream, in which a failure of the project's own code becomes a sentence.

    ChatKit would log it without the request's id, and offer a Retry that cannot help.
    """
    try:
        async for event in given_by("respond, or action,", stream(), AsyncIterator):
            yield event
    except Refused as error:
        raise CustomStreamError(context.signed(error.sentence), allow_retry=False) from None
    except Exception as error:
        if isinstance(error, CustomStreamError | StreamError) or not is_own(error):
            raise
        log_own(log, "request %s: the project's own code failed", context.request_id, error=error)
        raise CustomStreamError(context.signed(OWN_FAILED), allow_retry=False) from None
