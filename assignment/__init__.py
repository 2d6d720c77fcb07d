"""The assignment: what students fill in, and the data, checks and pictures it needs."""
