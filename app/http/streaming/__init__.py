"""A stream: frames in, answers out, the newest frame first."""
