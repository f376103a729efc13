"""What the MCP server must do: stable id -> behaviour and where the demand comes from.

Tests carry `@requirement("id")`. test_coverage.py fails on a requirement without a test and on an unknown id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

MCP = "modelcontextprotocol.io/specification"
RPC = "www.jsonrpc.org/specification"
PRODUCT = "README"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One demanded behaviour and the document that demands it."""

    behaviour: str
    source: str = PRODUCT


R = Requirement

REQUIREMENTS: dict[str, Requirement] = {
    "serve:initialize": R("Both protocol eras are answered on every transport.", MCP),
    "serve:light-start": R("Nothing of the engine or a vendor is loaded before the first call."),
    "serve:no-keys-no-network": R("Without keys only loopback addresses are listened on."),
    "serve:flags": R("Flags that do not fit the transport are refused."),
    "serve:end": R("The end of stdin, SIGTERM and SIGINT stop jobs with a checkpoint; the exit code is 0."),
    "serve:read-only": R("--read-only leaves out every tool that changes something."),
    "serve:never-frozen": R("No call keeps other callers waiting for longer than a blink."),
    "serve:any-system": R("Nothing that serve loads, nor the audit log, needs what only POSIX has."),
    "serve:hosts": R("Unknown Host headers and foreign Origins are refused on every route."),
    "serve:health": R("/healthz tells life, /readyz usability, without a key; /metrics needs one."),
    "tools:schemas": R("Every tool has a description, typed input and output, and all four annotations.", MCP),
    "tools:original-shapes": R("status, list and schema answers have exactly the documented fields."),
    "tools:list-pages": R("The list filters, sorts and pages; total counts all that match."),
    "tools:errors-tell": R("Expected failures are tool errors that name the next tool; nothing is masked."),
    "tools:unknown-arguments": R("Arguments that a tool does not know, or of the wrong type, are refused by name."),
    "tools:no-crash": R("No argument whatever makes a tool fail unexpectedly."),
    "tools:scopes": R("Reading needs migrations:read, starting write, rolling back admin."),
    "tools:untrusted": R(
        "What databases hold reaches a model cut, visible and as data; folders of the machine do not."
    ),
    "tools:parity": R("Tools, command line and library tell the same of the same migration."),
    "start:plan-first": R("A dry run writes nothing and gives a plan; only a plan can be started."),
    "start:losses": R("A plan with losses that nobody accepted cannot be started."),
    "start:idempotent": R(
        "A start that is repeated, by request id or by plan, starts nothing twice, also after a restart."
    ),
    "start:consent": R(
        "Replacing records needs a person's word, which no argument can stand for where one can be asked."
    ),
    "start:own-plan": R("A plan is started by who asked for it, as it was shown."),
    "jobs:conversation": R("Start, wait, validate and roll back work over every transport and era."),
    "jobs:disconnect": R("A migration goes on when the client that started it is gone."),
    "jobs:kill": R("A killed server loses nothing: the next one goes on, with --resume-on-start by itself."),
    "jobs:next-step": R("From every state the next step is named, can be taken, and leads to an end."),
    "jobs:busy-state": R("A state file that is kept locked is answered with `try again` in time; nothing is begun."),
    "jobs:stop": R("A migration can be stopped and resumed."),
    "jobs:two-agents": R("Two agents work at once and see the same; one migration has one runner."),
    "jobs:shared-with-cli": R("Migrations of the command line are seen by the tools and the other way round."),
    "wait:bounded": R("wait_migration reports progress and returns in time whether or not it is finished.", MCP),
    "validate:background": R("A validation that takes long goes on in the background and can be joined."),
    "rollback:confirmed": R("A rollback needs the target's name, from a form or as an argument.", MCP),
    "live:consent": R(
        "Switching and ending a live migration needs a person's word; a dry run needs none and does nothing."
    ),
    "live:same-verbs": R(
        "A live migration is started, seen, switched, reversed and completed by tools as by the library."
    ),
    "access:allow-list": R("Only collections on the list of a named connection can be touched, by every tool."),
    "access:own-only": R("With the option a key below admin knows of no migration that its name did not start."),
    "access:inline": R("URLs are taken on stdio with the flag only."),
    "access:secrets": R("No credential is in any answer, log, metric or audit line."),
    "resources:read": R("index, status, report and plan can be read; unknown ids are not found.", MCP),
    "resources:updates": R("Clients of both eras are told of changes, whoever makes them.", MCP),
    "prompts:listed": R("Prompts have descriptions and name existing tools.", MCP),
    "completions:offered": R("Ids, types and connections are completed.", MCP),
    "rpc:calls": R("POST / answers every tool with the same content as MCP.", RPC),
    "rpc:errors": R("Parse, request, method, parameter and tool errors have their codes and the id.", RPC),
    "rpc:batches": R("Batches are answered in order, notifications are not answered.", RPC),
    "rpc:same-guard": R("POST / has the same keys, scopes, limits and audit."),
}


def requirement(*names: str) -> Callable[[Any], Any]:
    """Say which requirements a test pins down."""
    return pytest.mark.requirement(*names)
