"""What a user's message says, and the title that it gives to its thread."""

from chatkit.types import UserMessageInput, UserMessageItem

from core.sentences import Sentence

TITLE_LENGTH = 60
"""How many characters a title has that the server makes."""
NEW_CHAT = Sentence("New chat")


def text_of(message: UserMessageInput | UserMessageItem) -> str:
    """The message's words, tags as the user sees them."""
    return "".join(part.text for part in message.content)


def title_of(message: UserMessageItem, new_chat: str = NEW_CHAT) -> str:
    """A thread's first title: the beginning of its first message, TITLE_LENGTH at most.

    It is `new_chat` where the message has no words.
    """
    words = " ".join(text_of(message).split())
    if len(words) <= TITLE_LENGTH:
        return words or new_chat
    return words[: TITLE_LENGTH - 1].rstrip() + "…"
