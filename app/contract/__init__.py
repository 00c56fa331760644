"""What the API promises: its schemas and its errors."""
