"""The messages of Envoy's questions (ext_proc v3) and of our answers: the one place that knows their form.

Answers that are always the same are made once, as bytes: every write waits for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn

from vectormigrate.capture.gateway.envoy_config import EXT_PROC, INTENT_HEADER
from vectormigrate.capture.gateway.protocol import CLASSES

pb: Any = SimpleNamespace(**CLASSES)
"""The messages, as their generated module would hold them."""

OVERWRITE = 2
"""HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD: what a client wrote there itself does not count."""

CONTINUE_REQUEST_HEADERS: bytes = pb.ProcessingResponse(request_headers=pb.HeadersResponse()).SerializeToString()
CONTINUE_REQUEST_BODY: bytes = pb.ProcessingResponse(request_body=pb.BodyResponse()).SerializeToString()
CONTINUE_RESPONSE_HEADERS: bytes = pb.ProcessingResponse(response_headers=pb.HeadersResponse()).SerializeToString()
CONTINUE_RESPONSE_BODY: bytes = pb.ProcessingResponse(response_body=pb.BodyResponse()).SerializeToString()
CONTINUE_RESPONSE_TRAILERS: bytes = pb.ProcessingResponse(response_trailers=pb.TrailersResponse()).SerializeToString()


@dataclass(frozen=True, slots=True)
class Passes:
    """The answers that let a request through: with the nonce that the second filter demands."""

    headers: bytes
    body: bytes


def passes(nonce: str) -> Passes:
    """Both, for this Envoy."""
    common: dict[str, Any] = {"header_mutation": {"set_headers": [_set(INTENT_HEADER, nonce)]}}
    return Passes(
        pb.ProcessingResponse(request_headers=pb.HeadersResponse(response=common)).SerializeToString(),
        pb.ProcessingResponse(request_body=pb.BodyResponse(response=common)).SerializeToString(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The answer to a request that is not forwarded. `status`: of HTTP; `grpc_status`: of gRPC, for its clients.
    `epoch`: since when the other side is to be written, None for another reason."""

    status: int
    grpc_status: int
    text: str
    retry_after: int = 0
    epoch: int | None = None

    def message(self) -> bytes:
        """As a message for Envoy."""
        headers = [_set("content-type", "text/plain; charset=utf-8")]
        if self.retry_after:
            headers.append(_set("retry-after", str(self.retry_after)))
        answer: dict[str, Any] = {
            "status": {"code": self.status},
            "headers": {"set_headers": headers},
            "body": self.text.encode(),
            "grpc_status": {"status": self.grpc_status},
            "details": "vectormigrate",
        }
        return pb.ProcessingResponse(immediate_response=answer).SerializeToString()


def _set(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "raw_value": value.encode()}, "append_action": OVERWRITE}


def header_map(headers: Any) -> dict[str, str]:
    """Names (in lower case, as Envoy sends them) and values; those of a name that comes twice are joined by commas."""
    return _joined(headers.headers.headers)


def code_details(message: Any) -> str:
    """Envoy's word for how the answer came about: `via_upstream` for one of the server."""
    return message.attributes[EXT_PROC].fields["response.code_details"].string_value


VIA_UPSTREAM = "via_upstream"

UNKNOWN_OUTCOMES = frozenset({"1", "2", "4", "13", "14"})
"""CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE: something on the way may have said that."""


def trailer_map(trailers: Any) -> dict[str, str]:
    """As `header_map`, of trailers."""
    return _joined(trailers.trailers.headers)


def _joined(headers: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in headers:
        value = (item.raw_value or item.value.encode()).decode("latin-1")
        found[item.key] = f"{found[item.key]},{value}" if item.key in found else value
    return found


def is_refusal(headers: Mapping[str, str]) -> bool:
    """Whether the answer means that nothing was done."""
    return headers.get("grpc-status", "0") != "0" or headers.get(":status", "200") >= "400"


NOT_ADMITTED = frozenset({"401", "403", "405"}), frozenset({"7", "12", "16"})
"Statuses of HTTP and gRPC with which a server refuses before it looks at what is asked."

NOT_FOUND = NOT_ADMITTED[0] | {"404"}, NOT_ADMITTED[1] | {"5"}
"The same, where nothing within the request may be what was not found."

NOT_VALID = NOT_FOUND[0] | {"400", "406", "411", "413", "414", "415", "422", "429", "431"}, NOT_FOUND[1] | {"3"}
"The same, of a request that is one change."


def took_no_effect(headers: Mapping[str, str], *, known: bool, stepwise: bool) -> bool:
    """Whether the server refused the request before any of it took effect. `known`: what the request does is;
    `stepwise`: it holds several changes, of which some may have been made before one was refused."""
    http, grpc = NOT_ADMITTED if stepwise else NOT_VALID if known else NOT_FOUND
    status = headers.get("grpc-status")
    return status in grpc if status is not None else headers.get(":status", "") in http


def is_definite(details: str, headers: Mapping[str, str]) -> bool:
    """Whether the server itself answered, so that the request takes no effect later."""
    if details != VIA_UPSTREAM:
        return False
    grpc_status = headers.get("grpc-status")
    if grpc_status is not None:
        return grpc_status not in UNKNOWN_OUTCOMES
    return headers.get(":status", "500") < "500"


def unexpected(kind: str | None) -> NoReturn:
    """Ends the conversation with an error, upon which Envoy forwards nothing."""
    raise ValueError(f"a message that was not asked for: {kind}")
