"""What the networks are put together of, and the interface every detector has."""
