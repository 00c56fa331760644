"""Darknet interchange: its cfg and weights files in, its cfg and weights files out."""
