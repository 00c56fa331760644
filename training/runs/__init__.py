"""How a run proceeds: the training loop, its optimiser, its processes, its log."""
