"""From the bytes of a request to its messages: compression, gRPC's frames, grpc-web. Pure, and bounded in size."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping

from vectormigrate.adapter.wire_walker import Unreadable

LARGEST = 256 * 2**20
"""Of a message after it is unpacked: more than any of the servers takes."""

_HEAD = 5
_PACKED, _TRAILERS = 1, 128
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Frames:
    """The messages of a gRPC body that comes in slices. Keeps at most one unfinished message."""

    def __init__(self, headers: Mapping[str, str], *, largest: int = LARGEST) -> None:
        self._encoding = headers.get("grpc-encoding", "identity")
        self._largest = largest
        self._kept = b""

    @property
    def complete(self) -> bool:
        """Whether no message is unfinished."""
        return not self._kept

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that this slice completes. Raises Unreadable, after which nothing more can be read."""
        data = self._kept + data if self._kept else data
        found: list[bytes] = []
        position = 0
        while len(data) - position >= _HEAD:
            flag, size = data[position], int.from_bytes(data[position + 1 : position + _HEAD])
            if size > self._largest:
                raise Unreadable("a message is too large")
            if flag not in (0, _PACKED, _TRAILERS):
                raise Unreadable(f"a frame has the flag {flag}")
            end = position + _HEAD + size
            if end > len(data):
                break
            if flag != _TRAILERS:
                message = data[position + _HEAD : end]
                found.append(unpacked(message, self._encoding, self._largest) if flag else message)
            position = end
        self._kept = data[position:]
        return found


def messages(body: bytes, headers: Mapping[str, str], *, largest: int = LARGEST) -> list[bytes]:
    """Every message of a whole gRPC or grpc-web body. Raises Unreadable when it is truncated or malformed."""
    if headers.get("content-encoding", "identity") not in ("identity", ""):
        raise Unreadable("a compressed gRPC stream")
    if headers.get("content-type", "").startswith("application/grpc-web-text"):
        try:
            body = base64.b64decode(body, validate=True)
        except binascii.Error as error:
            raise Unreadable("grpc-web text is not base64") from error
    frames = Frames(headers, largest=largest)
    found = frames.feed(body)
    if not frames.complete:
        raise Unreadable("the body ends within a message")
    return found


def content(body: bytes, headers: Mapping[str, str], *, largest: int = LARGEST) -> bytes:
    """A REST body without its compression. Raises Unreadable for one that cannot be undone here, or is too large."""
    encoding = headers.get("content-encoding", "identity").strip().lower() or "identity"
    if len(body) > largest:
        raise Unreadable("the body is too large")
    return body if encoding == "identity" else unpacked(body, encoding, largest)


def unpacked(data: bytes, encoding: str, largest: int) -> bytes:
    """Undo gzip or deflate. Raises Unreadable for another encoding, for broken data, and for more than `largest`."""
    window = _WINDOWS.get(encoding)
    if window is None:
        raise Unreadable(f"the encoding {encoding!r} cannot be read")
    found: list[bytes] = []
    room = largest
    try:
        while data:  # gzip may come in several members
            reader = zlib.decompressobj(window)
            found.append(reader.decompress(data, room + 1))
            room -= len(found[-1])
            if room < 0:
                raise Unreadable("the message is too large")
            if not reader.eof:
                raise Unreadable("compressed data ends early")
            data = reader.unused_data
    except zlib.error as error:
        raise Unreadable("compressed data is broken") from error
    return b"".join(found)
