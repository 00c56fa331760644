"""What `refit` learns, from what a trained detector saw: the class layer, and the quality of boxes."""
