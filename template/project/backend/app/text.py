"""Text that every encoding can express: a model, or a client, may send half a character."""


def whole(text: str) -> str:
    """The text with the halves of a surrogate pair joined, and a lone half as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def split_half(text: str) -> tuple[str, str]:
    """The text, and the first half of a pair that it ends with, whose second half may follow."""
    if text and "\ud800" <= text[-1] <= "\udbff":
        return text[:-1], text[-1]
    return text, ""
