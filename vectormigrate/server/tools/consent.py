"""A person's word for what destroys: asked with a form where the client can show one, else left to the operator.

A model can type a name as well as a person can. So what it passes along counts only where no form can be shown, and
only for what the operator allowed to be done unasked: `--unattended rollback`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias, get_args

from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

from vectormigrate.errors import ConfigError
from vectormigrate.server.runtime.context import Destructive
from vectormigrate.server.tools.tool import form_wanted

DESTRUCTIVE: Sequence[Destructive] = get_args(Destructive)

Typed: TypeAlias = Annotated[
    str | None,
    Field(
        max_length=300,
        description="Name of the target collection, typed by the user; only for clients that cannot show a form.",
    ),
]


class Confirmation(BaseModel):
    """What the user types."""

    target_collection: str = Field(description="Name of the target collection, typed to confirm.")


def destructive_of(words: Sequence[str]) -> frozenset[Destructive]:
    """What the operator allows unasked. Raises ConfigError."""
    found: frozenset[Destructive] = frozenset(action for action in DESTRUCTIVE if action in words)
    unknown = sorted(set(words) - found)
    if unknown:
        raise ConfigError(f"unattended: unknown word {unknown[0]!r}; known words: {', '.join(DESTRUCTIVE)}")
    return found


def asked(
    context: Context[Any, Any],
    action: Destructive,
    question: str,
    typed: str | None,
    allowed: frozenset[Destructive],
    *,
    otherwise: str,
) -> Confirmation | Elicit[Confirmation]:
    """The form with this question, or the typed name. `otherwise` is what the operator does instead.

    Raises ToolError with the way out. The question must not change while the user thinks: it is asked again.
    """
    if form_wanted(context):
        return Elicit(question, Confirmation)
    if action not in allowed:
        raise ToolError(
            f"{question} This needs a person's consent, which this client cannot ask for. The operator can do it with: "
            f"{otherwise}; or allow it without asking: serve --unattended {action}"
        )
    if typed is None:
        raise ToolError(f"{question} Ask the user; if they agree, call again with confirm_target, as typed by them")
    return Confirmation(target_collection=typed)


def require_consent(answer: object, collection: str, undone: str) -> None:
    """Raise ConfigError unless the user typed the name of the collection; `undone` states that nothing happened."""
    if not isinstance(answer, AcceptedElicitation):
        raise ConfigError(f"the user did not confirm; {undone}")
    if answer.data.target_collection != collection:
        raise ConfigError(f"the typed name is not that of the target collection {collection!r}; {undone}")
