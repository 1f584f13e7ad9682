"""The hello world's answers."""

import pytest
from chat_client import Chat, thread_of

from core.turns.server import TurnServer

from app.wiring import Settings, build_server


@pytest.fixture
def server(settings: Settings) -> TurnServer:
    return build_server(settings)


def test_every_message_is_answered_and_kept(chat: Chat) -> None:
    thread_id = thread_of(chat.say("Is anybody there?"))
    chat.say("And now?", thread_id)
    first, answer, second, another = chat.messages(thread_id)
    assert (first, second) == ("Is anybody there?", "And now?")
    assert answer.strip() and another.strip()
