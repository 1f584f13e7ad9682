"""Every provider that LiteLLM knows a wire for: each speaks one of the stand-ins' formats."""

import asyncio
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from agents import Agent, ModelSettings, RunConfig, Runner, function_tool

from tests.backend import load_project
from tests.render import render
from tests.standins import Answer, Moved, Said, Silence, StandIn, Text, ToolCall

KEY = "sk-family-7c21"
FAMILIES = [
    *("ai21", "aiml", "anthropic", "azure", "azure_ai", "baseten", "cerebras", "chutes"),
    *("cloudflare", "codestral", "cometapi", "compactifai", "dashscope", "databricks"),
    *("deepinfra", "deepseek", "docker_model_runner", "edenai", "featherless_ai"),
    *("fireworks_ai", "friendliai", "galadriel", "gemini", "github", "gradient_ai", "groq"),
    *("helicone", "heroku", "hosted_vllm", "huggingface", "hyperbolic", "inception"),
    *("lambda_ai", "lemonade", "litellm_proxy", "llamafile", "lm_studio", "meta_llama"),
    *("minimax", "mistral", "modelscope", "moonshot", "morph", "nano-gpt", "nebius", "novita"),
    *("nscale", "nvidia_nim", "openai", "openrouter", "ovhcloud", "perplexity", "poe"),
    *("publicai", "sambanova", "scaleway", "snowflake", "synthetic", "together_ai", "v0"),
    *("vercel_ai_gateway", "volcengine", "wandb", "xai", "xiaomi_mimo", "xinference", "zai"),
]
"""The others have another format, want more than an address and a key, or are no chat models."""


@pytest.fixture(scope="module")
def models() -> Iterator[ModuleType]:
    """A project's LitellmSource, without a server around it."""
    load_project(render(level=2, provider="gemini", store="memory"), {"GEMINI_API_KEY": KEY})
    yield importlib.import_module("core.models.litellm_models")


@function_tool
def look() -> str:
    """Look."""
    return "seen"


async def answer(model: Any, settings: ModelSettings) -> str:
    """What the model answers in the end, with a tool on the way."""
    agent = Agent(name="Assistant", instructions="Obey.", tools=[look], model=model)
    config = RunConfig(model_settings=settings, tracing_disabled=True)
    run = Runner.run_streamed(agent, "Hello", run_config=config)
    async for _ in run.stream_events():
        pass
    return str(run.final_output)


CALL = ToolCall("look", {})


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_answers_whatever_its_wire_does(
    family: str, models: ModuleType, standin: StandIn
) -> None:
    source = models.LitellmSource(
        f"litellm/{family}/some-model",
        base_url=standin.url,
        api_key=KEY,
        headers={"X-Team": "chat"},
        query={"place": "north"},
    )
    settings = source.asked_with(ModelSettings())
    model = source.load()
    standin.answers(Answer(Text(["word "] * 120), CALL, Said(), Silence(20)), Answer(Text("Done.")))
    assert asyncio.run(answer(model, settings)) == "Done."
    for request in standin.requests:
        assert (request.headers["x-team"], request.query["place"]) == ("chat", "north")
    with StandIn() as other:
        standin.answers(Moved(f"{other.url}/v1/chat/completions"))
        with pytest.raises(Exception) as failed:
            asyncio.run(answer(model, settings))
        assert not other.requests and not other.unexpected
    failures = importlib.import_module("core.turns.failures")
    said = failures.explain(failed.value, begun=False, api_key=None).sentence
    assert "leads to another one" in said
    assert len(standin.requests) == 3
