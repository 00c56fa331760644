"""From the graph's raw outputs to answers: the walk down the tree, what it hesitates between, and suppression."""
