"""Who asks, within RATE_LIMIT: for routes of app/api.py that cost something."""

from typing import Annotated

from fastapi import Depends, Request

from core.auth.limits import Limits
from core.context import RequestContext
from core.http.user import User


async def limited_user(request: Request, user: User) -> RequestContext:
    """The signed-in user. The request counts as a message: one too many gets 429."""
    for limit in request.app.state.server.limits:
        if isinstance(limit, Limits):
            await limit.message(user.user_id)
    return user


LimitedUser = Annotated[RequestContext, Depends(limited_user)]
"""Like User, and each request counts towards RATE_LIMIT as a message does."""
