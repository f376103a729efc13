"""vectormigrate: move vector collections between databases and prove that nothing was lost."""
