"""The commands of `python -m training`: one module each, its configuration and its run."""
