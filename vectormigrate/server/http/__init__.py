"""The HTTP transports, and the guard in front of them."""
