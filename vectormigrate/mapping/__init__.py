"""Pure decisions: from schema and capabilities to a plan, and from a source batch to a target batch."""
