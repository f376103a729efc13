"""The way of the application's writes: Envoy forwards bytes, and asks this process before it forwards a write.

Reads never come here, so they continue when this process does not. What is not admitted here is not forwarded.
"""
