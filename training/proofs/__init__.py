"""Runs that show what the method's parts are worth, on small data and a fixed budget."""
