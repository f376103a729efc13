"""Refusals of a Qdrant server: the status of its REST interface and its text."""

from __future__ import annotations


class Refused(Exception):
    """The request is answered with this HTTP status and text. `retry_after`: seconds, sent as a header."""

    def __init__(self, status: int, text: str, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after = retry_after


def missing(name: str) -> Refused:
    """There is no such collection."""
    return Refused(404, f"Not found: Collection `{name}` doesn't exist!")


def bad_input(text: str) -> Refused:
    """The request's values do not fit the collection."""
    return Refused(400, f"Wrong input: {text}")


def bad_request(text: str) -> Refused:
    """The request makes no sense here."""
    return Refused(400, f"Bad request: {text}")


def of_engine(error: Exception) -> Refused:
    """The server's answer to an engine error; Edge's text begins with its own kind."""
    text = str(error)
    for prefix in ("Wrong input: ", "Bad request: ", "Service runtime error: "):
        text = text.removeprefix(prefix)
    if "No point with id" in text:
        return Refused(404, f"Not found: {text}")
    known = (
        "dimension error",
        "Not existing vector name",
        "failed to",
        "Validation",
        "invalid",
        "must be",
        "Conversion",
    )
    if any(part in text for part in known):
        return bad_input(text)
    return Refused(500, f"Service internal error: {text}")
