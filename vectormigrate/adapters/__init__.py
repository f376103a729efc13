"""One closed folder per database; none imports another. The registry finds them by folder name."""
