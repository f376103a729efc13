"""Who may call, how often, and which collections agents may touch."""
