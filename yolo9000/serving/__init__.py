"""The service as a process: where it listens, how it speaks HTTP and WebSocket, what signals do to it."""
