"""What the application writes while a migration runs: noted before it takes effect, and made true on the target."""
