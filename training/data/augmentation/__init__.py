"""Views of pictures that a seed decides: moved, scaled, mirrored, recoloured, four in one, or none."""
