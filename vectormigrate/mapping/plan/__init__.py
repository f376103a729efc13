"""What will happen to a collection: decided from schemas, profile and limits before a record moves. Pure."""
