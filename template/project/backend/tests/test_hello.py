"""The hello world's answers."""

import pytest
from conftest import Chat, thread_of

from app.protocol import ProtocolServer
from app.wiring import Settings, build_server


@pytest.fixture
def server(settings: Settings) -> ProtocolServer:
    return build_server(settings)


def test_every_message_is_answered_and_kept(chat: Chat) -> None:
    thread_id = thread_of(chat.say("Is anybody there?"))
    chat.say("And now?", thread_id)
    assert chat.messages(thread_id) == [
        "Is anybody there?",
        "Hello! You wrote: Is anybody there?",
        "And now?",
        "Hello! You wrote: And now?",
    ]
