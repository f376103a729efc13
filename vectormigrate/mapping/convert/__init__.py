"""From source batches to target batches and back, as the plan's rules have it. Pure."""
