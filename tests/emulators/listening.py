"""A listening socket for servers that run in asyncio."""

from __future__ import annotations

import socket


def listener(host: str = "127.0.0.1") -> socket.socket:
    """A free port. The protocol is named, because asyncio switches Nagle's algorithm off only on such sockets; with it
    every answer over HTTP takes 40 ms longer."""
    sock = socket.socket(proto=socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, 0))
    sock.listen(128)
    return sock
