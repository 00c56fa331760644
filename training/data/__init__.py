"""Reading, augmenting and batching pictures."""
