"""Text that every database, header and provider can take."""


def repair_surrogates(text: str) -> str:
    """The text with the halves of a surrogate pair joined, and a lone half as U+FFFD.

    A browser writes half a character where somebody cuts one in two, and a model may stream one.
    No encoding can hold it.
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
