"""What all tools and resources work on: the context, its jobs and subscriptions."""
