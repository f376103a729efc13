"""Settings, named connections, endpoints and what is kept out of texts."""
