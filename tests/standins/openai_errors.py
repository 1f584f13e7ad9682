"""OpenAI's and Azure's HTTP errors, the same for chat completions and Responses.

https://platform.openai.com/docs/guides/error-codes
"""

from typing import Any

from tests.standins.request import Request
from tests.standins.script import HttpError
from tests.standins.wire import marked

ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", "invalid_value", "Invalid value: 'xhuge'."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: {key}."),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    404: ("invalid_request_error", "model_not_found", "The model `{model}` does not exist."),
    429: ("tokens", "rate_limit_exceeded", "Rate limit reached for {model} in organization."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}
AZURE = {
    401: ("401", "Access denied due to invalid subscription key or wrong API endpoint."),
    404: ("DeploymentNotFound", "The API deployment for this resource does not exist."),
    429: ("429", "Requests to the ChatCompletions_Create Operation have exceeded the rate limit."),
}
"""Where Azure has words of its own."""

TOO_LONG = "This model's maximum context length is 128000 tokens. Your messages have 200014 tokens."


def http_error(error: HttpError, request: Request) -> dict[str, Any]:
    if "/openai/deployments/" in request.path and error.status in AZURE:
        code, message = AZURE[error.status]
        return {"error": {"code": code, "message": marked(message, error.marker)}}
    kind, name, message = ERRORS.get(error.status, ERRORS[503])
    if error.kind == "context_length":
        name, message = "context_length_exceeded", TOO_LONG
    if error.kind == "no_tools":
        kind, name = "BadRequestError", None
        message = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'
    if error.kind == "unpaid":
        kind = name = "insufficient_quota"
        message = "You exceeded your current quota, please check your plan and billing details."
    # The service tells the key's ends in its message; whoever shows that message shows them too.
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    key = f"{key[:7]}{'*' * 8}{key[-4:]}"
    message = marked(message.format(model=request.model, key=key), error.marker)
    return {"error": {"message": message, "type": kind, "param": None, "code": name}}
