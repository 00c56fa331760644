"""From a model file with float weights to one that computes its convolutions with 8 bits."""
