"""Makes touched keys true on the other side: read again, written or deleted there, cleared when acknowledged."""
