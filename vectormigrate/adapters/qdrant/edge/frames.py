"""Frames between us and the engine's process: a JSON head and raw buffers.

Layout: head length and number of buffers (uint32 each), the buffers' lengths (uint64 each), head, buffers.
Both ends are on one machine, so native byte order is used.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Any

import orjson

Buffer = bytes | bytearray | memoryview
Head = dict[str, Any]

NAMESPACE_FIELD = "_vm_namespace"
"""Payload key that holds the namespace; records of the default namespace lack it."""

_PREFIX = struct.Struct("=II")


def send(sock: socket.socket, head: Head, buffers: Sequence[Buffer] = ()) -> None:
    """Write one frame. Raises OSError when the other side is gone."""
    text = orjson.dumps(head)
    sizes = struct.pack(f"={len(buffers)}Q", *(memoryview(buffer).nbytes for buffer in buffers))
    sock.sendall(_PREFIX.pack(len(text), len(buffers)) + sizes + text)
    for buffer in buffers:
        sock.sendall(buffer)


def receive(sock: socket.socket) -> tuple[Head, list[bytearray]]:
    """Read one frame. Raises EOFError when the other side is gone."""
    length, count = _PREFIX.unpack(_exactly(sock, _PREFIX.size))
    sizes = struct.unpack(f"={count}Q", _exactly(sock, 8 * count))
    head = orjson.loads(_exactly(sock, length))
    return head, [_exactly(sock, size) for size in sizes]


def _exactly(sock: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        got = sock.recv_into(view)
        if not got:
            raise EOFError("the other process is gone")
        view = view[got:]
    return data
