"""Reading files that people write, and saying why one cannot be read."""
