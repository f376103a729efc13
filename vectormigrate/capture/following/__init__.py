"""What an application uses of a live migration: which side it is to use, and marks for writes past the gateway."""
