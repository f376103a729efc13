"""Schema recommendations: what a collection of one database becomes on another."""
