"""Where weights come from and are kept: checkpoints, run folders, published and exported files."""
