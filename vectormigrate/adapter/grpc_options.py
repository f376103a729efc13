"""Options of every gRPC channel that we open."""

from __future__ import annotations

from typing import Any

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # The server's own limit counts for what we send; what it answers is bounded by what we ask for.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # engine/retry.py alone repeats calls.
    ("grpc.enable_retries", 0),
    # Some servers answer pings every 10 s with GOAWAY too_many_pings.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Channels would otherwise share one connection, and closed ones hand their broken one on to the next.
    ("grpc.use_local_subchannel_pool", 1),
)
