"""Text that every encoding can express: a model, or a client, may send half a character."""


def whole(text: str) -> str:
    """The text with the halves of a surrogate pair joined, and a lone half as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
