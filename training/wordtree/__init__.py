"""Builds a WordTree of any list of labels from WordNet 3.0, and compares two trees (paper section 4)."""
