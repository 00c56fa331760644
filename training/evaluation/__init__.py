"""How good a model file is: average precision, recall and lineage accuracy on labelled detection sets."""
