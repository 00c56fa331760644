"""Pictures and what is labelled on them: one by one as objects, and all of a set as columns."""
