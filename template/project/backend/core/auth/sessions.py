"""Sign-in with the session of your website: the request's cookies are shown to AUTH_SESSION_URL.

That is Better Auth's /api/auth/get-session, or any address that answers 200 with
`{"user": {"id": …}}` for the cookies of a signed-in user, and 401 or 200 with null for others.
"""

import asyncio
import hashlib
import logging
import time
from datetime import datetime, timezone
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Annotated, Any

import httpx
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from starlette.requests import Request

from core.auth.sign_in import language_of
from core.auth.users import SIGN_IN, SIGN_INS_UNCHECKED, AuthUrl, is_user_id, roles_of, text_or_none
from core.context import RequestContext, request_id_of
from core.errors import Refused
from core.settings import Origins, ServerSettings

log = logging.getLogger("app")

TIMEOUT_SECONDS = 5
RETRY_SECONDS = 5
MAX_REMEMBERED = 10_000


def _user_id(value: str) -> str:
    if not is_user_id(value):
        raise ValueError("not a user's id")
    return value


class User(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True, extra="allow")

    id: Annotated[str, AfterValidator(_user_id)]
    role: Any = None
    locale: Any = None


class Session(BaseModel):
    model_config = ConfigDict(extra="allow")

    expires_at: AwareDatetime | None = Field(default=None, alias="expiresAt")
    organization: Any = Field(default=None, alias="activeOrganizationId")


class Answer(BaseModel):
    """What AUTH_SESSION_URL answers, as far as it matters here."""

    model_config = ConfigDict(extra="allow")

    user: User | None = None
    session: Session | None = None


ANSWER: TypeAdapter[Answer | None] = TypeAdapter(Answer | None)


class SessionSettings(ServerSettings):
    """Who is asked about the cookies, and for how long the answer counts."""

    auth_session_url: AuthUrl = Field(
        description="a URL such as http://localhost:3000/api/auth/get-session"
    )
    auth_session_cache: float = Field(
        default=10, ge=0, le=300, description="a number of seconds from 0 to 300"
    )
    allowed_origins: Origins = Field(
        default=[],
        description=(
            "a comma-separated list such as https://example.com,https://www.example.com; "
            "with *, every site could use its visitors' cookies"
        ),
    )

    @field_validator("allowed_origins")
    @classmethod
    def _by_name(cls, origins: list[str]) -> list[str]:
        if "*" in origins:
            raise ValueError
        return origins


class SessionAuth:
    """Believes what AUTH_SESSION_URL says about the cookies of a request."""

    cookies = True

    def __init__(self, settings: SessionSettings) -> None:
        self._url = settings.auth_session_url
        self._seconds = settings.auth_session_cache
        self._remembered: dict[bytes, tuple[float, Answer]] = {}
        self._asking: dict[bytes, asyncio.Task[Answer | None]] = {}

    async def start(self) -> None:
        self._http = httpx.AsyncClient(
            # What the answer sets for one user must not go out with the next one's question.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # No proxy of the environment sees the cookies; its certificates count all the same.
            trust_env=False,
            verify=httpx.create_ssl_context(),
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def not_ready(self) -> str | None:
        try:
            await self._ask(b"", None)
        except Refused:
            return "sign-in: AUTH_SESSION_URL does not answer"
        return None

    async def identify(self, request: Request) -> RequestContext:
        """Who asks. Raises Refused: 401 for nobody, 403 for another site, 503 if none can tell."""
        check_site(request)
        cookies = b"; ".join(value for name, value in request.headers.raw if name == b"cookie")
        answer = await self._answer(cookies, request) if cookies else None
        if answer is None or answer.user is None or ended(answer):
            raise Refused(SIGN_IN, 401, **{"WWW-Authenticate": "Cookie"})
        return self.context_of(answer, answer.user, request)

    def context_of(self, answer: Answer, user: User, request: Request) -> RequestContext:
        """What the answer says about the user; role and organization are Better Auth's plugins'.

        Override it in a subclass where your website has other names (whatever else it answers is
        in `model_extra`), and hand that in in app/wiring.py.
        """
        session = answer.session
        return RequestContext(
            user_id=user.id,
            roles=roles_of(user.role),
            tenant=text_or_none(session.organization) if session else None,
            locale=language_of(request, user.locale),
            request_id=request_id_of(request),
        )

    async def _answer(self, cookies: bytes, request: Request) -> Answer | None:
        """What was answered about these cookies, now or a few seconds ago."""
        client = request.client.host if request.client else None
        if not self._seconds:
            return await self._ask(cookies, client)
        key = hashlib.sha256(cookies).digest()
        until, answer = self._remembered.get(key, (0.0, None))
        if answer and time.monotonic() < until and not ended(answer):
            return answer
        if key not in self._asking:
            task = asyncio.create_task(self._ask_and_remember(key, cookies, client))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
            self._asking[key] = task
        # Others may wait for it too: whoever leaves does not take it along.
        return await asyncio.shield(self._asking[key])

    async def _ask_and_remember(
        self, key: bytes, cookies: bytes, client: str | None
    ) -> Answer | None:
        until = time.monotonic() + self._seconds
        answer = await self._ask(cookies, client)
        self._remembered.pop(key, None)
        if answer and answer.user:
            if len(self._remembered) >= MAX_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[key] = (until, answer)
        return answer

    async def _ask(self, cookies: bytes, client: str | None) -> Answer | None:
        """Show the cookies. Raises Refused with 503 if there is no answer."""
        headers = {b"Cookie": cookies} if cookies else {}
        if client:
            # Better Auth counts the requests of each address; without it, all users share a count.
            headers[b"X-Forwarded-For"] = client.encode()
        try:
            response = await asyncio.wait_for(
                self._http.get(self._url, headers=headers), TIMEOUT_SECONDS
            )
            if response.status_code in (401, 403):
                return None
            if response.status_code == 200:
                return ANSWER.validate_json(response.content)
            log.error("AUTH_SESSION_URL answered %s", response.status_code)
        except (httpx.HTTPError, asyncio.TimeoutError) as error:
            log.error("AUTH_SESSION_URL does not answer: %r", error)
        except ValidationError as error:
            # What and where, without the user's data.
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            log.error("AUTH_SESSION_URL answers no session: %s %s", first["type"], first["loc"])
        raise Refused(
            SIGN_INS_UNCHECKED,
            503,
            **{"Retry-After": str(RETRY_SECONDS)},
        )


def ended(answer: Answer) -> bool:
    """Whether the session is over by now, whatever was remembered."""
    end = answer.session.expires_at if answer.session else None
    return end is not None and end <= datetime.now(timezone.utc)


def check_site(request: Request) -> None:
    """Refuse what a page of another site may have made the browser send, with the cookies.

    An Origin has been checked by the routes. Browsers leave it out of what changes nothing, and
    then Sec-Fetch-Site tells.
    """
    if "origin" in request.headers:
        return
    site = request.headers.get("sec-fetch-site")
    if site in ("same-origin", "none") or (site is None and request.method in ("GET", "HEAD")):
        return
    raise Refused("A request with cookies needs an Origin that is allowed here.", 403)
