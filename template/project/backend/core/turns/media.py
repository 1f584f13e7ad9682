"""Images and files in the model's input: counted apart from its words, and lines in their place."""

from typing import Any

IMAGES = ("input_image", "image_url", "computer_screenshot")
FILES = ("input_file", "input_audio")


def media_in(value: Any) -> int:
    """How many images and files are in a part of the model's input. A file of text is text."""
    match value:
        case {"type": str(kind)} if kind in IMAGES or (kind in FILES and not is_text(value)):
            return 1
        case dict():
            return sum(media_in(each) for each in value.values())
        case list():
            return sum(media_in(each) for each in value)
        case _:
            return 0


def without_media(value: Any, *, keep_text: bool = False) -> Any:
    """The part of the model's input, with a line of text in the place of each image and file.

    `keep_text` leaves files of text as they are.
    """
    match value:
        case {"type": str(kind)} if kind in IMAGES:
            return {"type": "input_text", "text": "[An image was here.]"}
        case {"type": str(kind)} if kind in FILES and not (keep_text and is_text(value)):
            name = f" {value['filename']}" if value.get("filename") else ""
            return {"type": "input_text", "text": f"[The file{name} was here.]"}
        case dict():
            return {name: without_media(each, keep_text=keep_text) for name, each in value.items()}
        case list():
            return [without_media(each, keep_text=keep_text) for each in value]
        case _:
            return value


def is_text(file: dict[str, Any]) -> bool:
    """Whether the file's content is text, which costs what it is long."""
    return str(file.get("file_data")).startswith("data:text/")
