"""What the command line prints: status, plan, report, progress."""
