"""The model file that is taught: what its graph sees, what is added to it, and what it keeps of a lesson."""
