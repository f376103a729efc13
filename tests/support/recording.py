"""Proxies that note what a client sends and what it is answered: for REST, and for gRPC.

They understand nothing of what they carry. Each exchange is complete when the client has its answer.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import grpc


@dataclass(slots=True)
class Exchange:
    """`body` and `answer` are the messages of gRPC, in order, or one body of REST. `ok`: the server did not refuse."""

    method: str
    path: str
    headers: dict[str, str]
    body: list[bytes]
    answer: list[bytes] = field(default_factory=list[bytes])
    answer_headers: dict[str, str] = field(default_factory=dict[str, str])
    ok: bool = True
    grpc: bool = False
    kept: Any = None
    """What `before` made of it."""


class Recording:
    """Exchanges, in the order in which they began. `before` sees each before the server does."""

    def __init__(self) -> None:
        self.before: Callable[[Exchange], Any] = lambda exchange: None
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []

    def add(self, exchange: Exchange) -> Exchange:
        """Note one that begins."""
        exchange.kept = self.before(exchange)
        with self._lock:
            self._exchanges.append(exchange)
        return exchange

    def taken(self) -> list[Exchange]:
        """Those since the last call."""
        with self._lock:
            found, self._exchanges = self._exchanges, []
        return found


SKIPPED = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@contextmanager
def recorded_rest(url: str, recording: Recording) -> Generator[str, None, None]:
    """The address of a proxy in front of this server, or of what is below a path of it."""
    place = urlsplit(url)
    prefix = place.path.rstrip("/")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def carry(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            exchange = recording.add(Exchange(self.command, self.path, headers, [body]))
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
            try:
                connection.putrequest(self.command, prefix + self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in {"connection", "keep-alive"}:
                        connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                content = answer.read()
            finally:
                connection.close()
            exchange.answer = [content]
            exchange.answer_headers = {name.lower(): value for name, value in answer.getheaders()}
            exchange.ok = answer.status < 400
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in SKIPPED:
                    self.send_header(name, value)
            if self.command != "HEAD" and answer.status != 204:
                self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = carry

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Carrier(grpc.GenericRpcHandler):
    """Any method of any service, as bytes."""

    def __init__(self, channel: grpc.Channel, recording: Recording, streams: frozenset[str]) -> None:
        self._channel = channel
        self._recording = recording
        self._streams = streams

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a call."""
        path: str = handler_call_details.method
        metadata = [item for item in handler_call_details.invocation_metadata if not item[0].startswith("grpc-")]
        headers = {key: value for key, value in metadata if isinstance(value, str)}
        exchange = Exchange("POST", path, {"content-type": "application/grpc", **headers}, [], grpc=True)
        carried = tuple((key, value) for key, value in metadata if key != "user-agent")

        def sent(requests: Iterator[bytes]) -> Iterator[bytes]:
            for request in requests:
                exchange.body.append(request)
                yield request

        def stream(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
            self._recording.add(exchange)
            call: Any = self._channel.stream_stream(path)(sent(requests), metadata=carried)
            try:
                for answer in call:
                    exchange.answer.append(answer)
                    yield answer
            except grpc.RpcError as error:
                refused: Any = error
                exchange.ok = False
                context.abort(refused.code(), refused.details())

        def unary(request: bytes, context: Any) -> bytes:
            exchange.body.append(request)
            self._recording.add(exchange)
            try:
                answer: bytes = self._channel.unary_unary(path)(request, metadata=carried, timeout=60)
            except grpc.RpcError as error:
                refused: Any = error
                exchange.ok = False
                context.abort(refused.code(), refused.details())
                raise
            exchange.answer.append(answer)
            return answer

        if path in self._streams:
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)


@contextmanager
def recorded_grpc(
    address: str, recording: Recording, streams: frozenset[str] = frozenset()
) -> Generator[str, None, None]:
    """The address (`host:port`) of a proxy in front of this server. `streams`: methods on which both sides stream."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options=options) as channel, ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool, handlers=[_Carrier(channel, recording, streams)], options=options)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(0.2).wait()


@contextmanager
def answered_grpc(recording: Recording) -> Generator[str, None, None]:
    """The address of a server that answers every unary call with an empty message."""

    class Answering(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            path: str = handler_call_details.method

            def unary(request: bytes, context: Any) -> bytes:
                recording.add(Exchange("POST", path, {"content-type": "application/grpc"}, [request], grpc=True))
                return b""

            return grpc.unary_unary_rpc_method_handler(unary)

    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, handlers=[Answering()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(0.2).wait()
