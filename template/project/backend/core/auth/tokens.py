"""Sign-in with JSON Web Tokens: `Authorization: Bearer …`, checked with PyJWT.

The tokens are signed with AUTH_JWT_SECRET, which your own backend knows too, or by an identity
provider, whose public keys are at AUTH_JWKS_URL. For a try, `python -m core.auth.tokens alice`
prints a token.
"""

import argparse
import asyncio
import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
from jwt.exceptions import InvalidSubjectError
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from starlette.requests import Request

from core.auth.sign_in import language_of
from core.auth.users import SIGN_IN, SIGN_INS_UNCHECKED, AuthUrl, is_user_id, roles_of, text_or_none
from core.context import RequestContext, request_id_of
from core.errors import Refused
from core.sentences import Sentence
from core.settings import ServerSettings, give_up, load

log = logging.getLogger("app")

# Two lists that share no entry: with a key of the one kind, no token of the other is looked at.
# PyJWT takes HS384 only from a secret of 48 bytes or more, and HS512 from one of 64.
SECRET_ALGORITHMS = ["HS256", "HS384", "HS512"]
PROVIDER_ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
]

BEARER = re.compile(r"bearer +([a-z0-9._~+/-]+=*)", re.IGNORECASE | re.ASCII)
MAX_TOKEN = 16_384

REFRESH_SECONDS = 300
PAUSE_SECONDS = 5
"""The provider is asked for its keys no more often than this, whatever tokens come."""
TIMEOUT_SECONDS = 5

MIN_SECRET_BYTES = 32
PLACEHOLDER = re.compile(
    r"123456|change|example|password|placeholder|replace|secret|your[-_ ]", re.IGNORECASE
)
DAY_SECONDS = 86_400


class JwtSettings(ServerSettings):
    """How tokens are checked: with one of the secret and the provider's keys.

    A provider signs the tokens of many applications, often of many customers, with the same keys.
    Only the issuer and the audience tell which are meant for this one, so they are needed there.
    """

    auth_jwks_url: AuthUrl | None = Field(
        default=None, description="a URL such as https://login.example.com/.well-known/jwks.json"
    )
    auth_jwt_secret: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description=(
            f"at least {MIN_SECRET_BYTES} random bytes, without words such as secret or change, "
            'as python -c "import secrets; print(secrets.token_urlsafe(48))" prints them, '
            "unless AUTH_JWKS_URL is set: one of the two, not both"
        ),
    )
    auth_issuer: str | None = Field(
        default=None,
        validate_default=True,
        description="what your provider's tokens have as iss, where AUTH_JWKS_URL is set",
    )
    auth_audience: str | None = Field(
        default=None,
        validate_default=True,
        description="what your provider's tokens have as aud, where AUTH_JWKS_URL is set",
    )
    auth_leeway: int = Field(
        default=30, ge=0, le=300, description="a number of seconds from 0 to 300"
    )

    @field_validator("auth_jwt_secret")
    @classmethod
    def _one_way(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "auth_jwks_url" in info.data and bool(secret) is bool(info.data["auth_jwks_url"]):
            raise ValueError
        if secret:
            check_secret(secret.get_secret_value())
        return secret

    @field_validator("auth_issuer", "auth_audience")
    @classmethod
    def _needed(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("auth_jwks_url"):
            raise ValueError
        return value


def check_secret(secret: str) -> None:
    """Raise ValueError for a secret that can be guessed."""
    if len(secret.encode()) < MIN_SECRET_BYTES or len(set(secret)) < 6:
        raise ValueError
    if PLACEHOLDER.search(secret):
        raise ValueError
    try:
        jwt.encode({}, secret, SECRET_ALGORITHMS[0])
    except jwt.InvalidKeyError:
        # A public key, which everyone may know.
        raise ValueError from None


class JwtAuth:
    """Believes the tokens that AUTH_JWT_SECRET or a key of AUTH_JWKS_URL has signed."""

    cookies = False

    def __init__(self, settings: JwtSettings) -> None:
        self._keys: SecretKey | ProviderKeys
        if settings.auth_jwks_url:
            self._keys = ProviderKeys(settings.auth_jwks_url)
        else:
            assert settings.auth_jwt_secret is not None  # JwtSettings has seen to it.
            self._keys = SecretKey(settings.auth_jwt_secret.get_secret_value())
        self._issuer = settings.auth_issuer
        self._audience = settings.auth_audience
        self._leeway = settings.auth_leeway

    async def start(self) -> None:
        await self._keys.start()

    async def close(self) -> None:
        await self._keys.close()

    async def not_ready(self) -> str | None:
        return self._keys.not_ready()

    async def identify(self, request: Request) -> RequestContext:
        """Who asks. Raises Refused: 401 without a good token, 503 while it cannot be checked."""
        token = bearer_token(request)
        try:
            claims = await self._claims(token)
        except jwt.PyJWTError as error:
            # Which check failed is for the log alone: it would help whoever makes up tokens.
            reason = type(error).__name__
            log.info("request %s: the token is refused: %s", request_id_of(request), reason)
            raise invalid_token() from None
        return self.context_of(claims, request)

    def context_of(self, claims: Mapping[str, Any], request: Request) -> RequestContext:
        """What a valid token says about the user.

        Override it in a subclass where your provider has other names, and hand that in in
        app/wiring.py: Keycloak has its roles in realm_access.roles, Entra calls the tenant tid,
        Auth0 and Clerk call it org_id.
        """
        return RequestContext(
            user_id=claims["sub"],
            roles=roles_of(claims.get("roles")),
            tenant=text_or_none(claims.get("tenant")),
            locale=language_of(request, claims.get("locale")),
            request_id=request_id_of(request),
        )

    async def _claims(self, token: str) -> Mapping[str, Any]:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in self._keys.algorithms:
            raise jwt.InvalidAlgorithmError
        claims: dict[str, Any] = jwt.decode(
            token,
            await self._keys.find(header.get("kid")),
            algorithms=self._keys.algorithms,
            issuer=self._issuer,
            audience=self._audience,
            leeway=self._leeway,
            options={"require": ["exp", "sub"], "enforce_minimum_key_length": True},
        )
        if not is_user_id(claims["sub"]):
            raise InvalidSubjectError
        return claims


def bearer_token(request: Request) -> str:
    """The request's token. One in the URL does not count: URLs end up in logs and histories.

    Raises Refused with 401 if there is none, or none that could be one.
    """
    sent = request.headers.getlist("authorization")
    if not sent:
        raise Refused(SIGN_IN, 401, **{"WWW-Authenticate": "Bearer"})
    token = BEARER.fullmatch(sent[0])
    if len(sent) > 1 or token is None or len(token[1]) > MAX_TOKEN:
        raise invalid_token()
    return token[1]


def invalid_token() -> Refused:
    return Refused(
        Sentence("Your sign-in is not valid, or no longer. Sign in again."),
        401,
        **{"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


class SecretKey:
    """The one key that both signs and checks."""

    algorithms = SECRET_ALGORITHMS

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def not_ready(self) -> str | None:
        return None

    async def find(self, kid: str | None) -> str:
        return self._secret


class ProviderKeys:
    """The public keys of an identity provider, kept up to date.

    PyJWT's own PyJWKClient would stop the event loop, and forget its keys while the provider is
    away.
    """

    algorithms = PROVIDER_ALGORITHMS

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched = False
        self._next_fetch = 0.0
        self._fetching = asyncio.Lock()

    async def start(self) -> None:
        self._http = httpx.AsyncClient()
        self._refreshing = asyncio.create_task(self._refresh())

    async def close(self) -> None:
        self._refreshing.cancel()
        await self._http.aclose()

    def not_ready(self) -> str | None:
        return None if self._keys else "sign-in: there are no keys from AUTH_JWKS_URL"

    async def find(self, kid: str | None) -> jwt.PyJWK:
        """The key of this id.

        Raises PyJWTError if the provider has none, and Refused with 503 if it cannot be asked.
        """
        if kid not in self._keys:
            await self._fetch()
        if key := self._keys.get(kid):
            return key
        if self._fetched:
            raise jwt.PyJWKSetError
        raise Refused(
            SIGN_INS_UNCHECKED,
            503,
            **{"Retry-After": str(PAUSE_SECONDS)},
        )

    async def _refresh(self) -> None:
        while True:
            await self._fetch()
            await asyncio.sleep(REFRESH_SECONDS if self._fetched else PAUSE_SECONDS)

    async def _fetch(self) -> None:
        """Ask the provider, unless someone just did. While it is away, its last answer counts."""
        async with self._fetching:
            if time.monotonic() < self._next_fetch:
                return
            try:
                response = await asyncio.wait_for(self._http.get(self._url), TIMEOUT_SECONDS)
                self._keys = signing_keys(response.raise_for_status().json())
                self._fetched = True
            except Exception as error:
                if self._fetched or not self._next_fetch:
                    log.error("the keys of AUTH_JWKS_URL cannot be fetched: %r", error)
                self._fetched = False
            finally:
                self._next_fetch = time.monotonic() + PAUSE_SECONDS


def signing_keys(answer: dict[str, Any]) -> dict[str | None, jwt.PyJWK]:
    """The keys to check signatures with, by id. Raises PyJWKSetError if there are none."""
    keys: dict[str | None, jwt.PyJWK] = {
        key.key_id: key
        for key in jwt.PyJWKSet.from_dict(answer)
        if key.public_key_use in ("sig", None) and key.algorithm_name in PROVIDER_ALGORITHMS
    }
    if not keys:
        raise jwt.PyJWKSetError("no key is for signatures")
    if len(keys) == 1:
        # Then a token need not name it.
        keys[None] = next(iter(keys.values()))
    return keys


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m core.auth.tokens", description="Print a token for development."
    )
    parser.add_argument("user", help="the user's id, such as alice")
    user: str = parser.parse_args().user
    settings = load(JwtSettings)
    if settings.auth_jwt_secret is None:
        give_up("AUTH_JWKS_URL is set, so only your identity provider can make tokens.")
    if not is_user_id(user):
        parser.error("a user's id has 1 to 255 visible characters, and is not local")
    now = int(time.time())
    claims = {"sub": user, "iat": now, "exp": now + DAY_SECONDS}
    if settings.auth_issuer:
        claims["iss"] = settings.auth_issuer
    if settings.auth_audience:
        claims["aud"] = settings.auth_audience
    print(jwt.encode(claims, settings.auth_jwt_secret.get_secret_value(), SECRET_ALGORITHMS[0]))
    print(f"The token of {user}, valid for a day.", file=sys.stderr)


if __name__ == "__main__":
    main()
