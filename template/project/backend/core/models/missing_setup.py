"""What a model still lacks on this machine, of which its library fails before it asks anybody."""

import re

import openai

from core.sentences import Sentence

PACKAGES = {"google": "google-auth", "vertexai": "google-cloud-aiplatform"}
"""The packages of the modules that are not called like them."""
SETTINGS = {
    "NoCredentialsError": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
    "PartialCredentialsError": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
    "DefaultCredentialsError": "GOOGLE_APPLICATION_CREDENTIALS",
}
"""The settings of the clouds, by what their libraries raise without them."""
UNSET = re.compile(
    r"missing (credentials|required|api|\S+ (api|jwt))|no (key|credentials)"
    r"|(key|credentials) not (found|provided)|not set\b|or pass api_key|requires api_key",
    re.IGNORECASE,
)
"""What LiteLLM and OpenAI's client say without a key."""
SETTING = re.compile(r"(?<![-\w])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:KEY|TOKEN|ID|CREDENTIALS)\b")


def missing(error: BaseException) -> Sentence | None:
    """A sentence about the package or the setting that the model lacks, or None.

    None, too, if a provider has answered: then its status says what is wrong.
    """
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    for cause in chain:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            module = cause.name.partition(".")[0]
            return Sentence(
                "This model needs the package {package}, which is not installed. Add it to "
                "backend/requirements.txt, install that, and restart.",
                package=PACKAGES.get(module, module),
            )
        if settings := SETTINGS.get(type(cause).__name__):
            return unset(settings)
    if any(is_answer(cause) for cause in chain) or not UNSET.search(str(error)):
        return None
    named = SETTING.search(str(error))
    return unset(named[0] if named else Sentence("the key of the model's provider"))


def unset(settings: str) -> Sentence:
    return Sentence(
        "No model can answer yet. Set {settings} in .env, and restart.", settings=settings
    )


def is_answer(error: BaseException) -> bool:
    """Whether it is what came back over HTTP. LiteLLM's own errors look like that, too."""
    kind = type(error)
    by_client = isinstance(error, openai.APIStatusError) and kind.__module__.startswith("openai")
    return by_client or kind.__name__.endswith("HTTPStatusError")
