"""Asks the database's server a question in the name of a request that is about to be forwarded."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import anyio
import grpc
import grpc.aio
import httpx

from vectormigrate.adapter.choosing import Listed, Question
from vectormigrate.capture.gateway.ports import Upstream

MOST = 10_000
"""Ids. Noting so many takes a tenth of a second."""

SECONDS = 2.0
"""The application's request waits for it."""

_NOT_OURS = ("host", "connection", "transfer-encoding", "te", "trailer", "user-agent", "expect", "upgrade")
_FAMILIES = (":", "content-", "accept", "grpc-", "x-envoy-", "x-forwarded-", "x-request-id", "keep-alive", "proxy-")


class Asker:
    """Of one port of a server. Connections are made when the first question comes."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._client: httpx.AsyncClient | None = None
        self._channel: grpc.aio.Channel | None = None

    async def ask(self, question: Question, headers: Mapping[str, str]) -> Listed | None:
        """The ids; None when the server does not answer in time, or not with ids. `headers`: of the request, whose
        credentials are used."""
        given = {name: value for name, value in headers.items() if _goes_along(name)}
        # Also for what cannot be sent again by these libraries, such as odd headers: the scope remains, which is more
        # work and never wrong, and the request itself is not to fail by it.
        with suppress(Exception), anyio.move_on_after(SECONDS):
            answer = await (self._call(question, given) if question.grpc else self._request(question, given))
            return None if answer is None else question.read(answer)
        return None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.aclose()
        if self._channel is not None:
            await self._channel.close()

    async def _request(self, question: Question, headers: Mapping[str, str]) -> bytes | None:
        if self._client is None:
            self._client = httpx.AsyncClient(verify=self._context() or False, trust_env=False)
        upstream = self._upstream
        scheme = "https" if upstream.tls else "http"
        host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
        sent = {**headers, "content-type": "application/json"}
        if upstream.host_header:
            sent["host"] = upstream.host_header
        extensions: dict[str, Any] = {"sni_hostname": upstream.server_name} if upstream.server_name else {}
        answer = await self._client.request(
            question.method,
            f"{scheme}://{host}:{upstream.port}{upstream.path}{question.path}",
            content=question.body,
            headers=sent,
            timeout=SECONDS,
            extensions=extensions,
        )
        return answer.content if answer.is_success else None

    def _context(self) -> ssl.SSLContext | None:
        upstream = self._upstream
        if not upstream.tls:
            return None
        context = ssl.create_default_context(cafile=None if upstream.ca is None else str(upstream.ca))
        if upstream.client_certificate is not None:
            context.load_cert_chain(*upstream.client_certificate)
        return context

    async def _call(self, question: Question, headers: Mapping[str, str]) -> bytes:
        if self._channel is None:
            self._channel = self._connected()
        call: Any = self._channel.unary_unary(question.path)
        return await call(question.body, metadata=tuple(headers.items()), timeout=SECONDS)

    def _connected(self) -> grpc.aio.Channel:
        upstream = self._upstream
        options: list[tuple[str, Any]] = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
        address = f"[{upstream.host}]:{upstream.port}" if ":" in upstream.host else f"{upstream.host}:{upstream.port}"
        if not upstream.tls:
            return grpc.aio.insecure_channel(address, options=options)
        if upstream.server_name:
            options.append(("grpc.ssl_target_name_override", upstream.server_name))
        shown = upstream.client_certificate
        credentials = grpc.ssl_channel_credentials(
            root_certificates=None if upstream.ca is None else upstream.ca.read_bytes(),
            private_key=None if shown is None else shown[1].read_bytes(),
            certificate_chain=None if shown is None else shown[0].read_bytes(),
        )
        return grpc.aio.secure_channel(address, credentials, options=options)


def _goes_along(name: str) -> bool:
    """Whether a header of the request is about who asks, and not about the message that it came with."""
    return name not in _NOT_OURS and not name.startswith(_FAMILIES)
