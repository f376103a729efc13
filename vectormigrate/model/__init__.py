"""Pure data: what moves (batch), its shape (schema), where we are in it (position), what was decided (plan),
how it goes (status). numpy and the standard library only; no I/O."""
