"""Scores as people read them: HTML, plots, annotated pictures."""
