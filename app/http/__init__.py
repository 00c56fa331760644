"""HTTP: from a request to a call of the engine, and from its results to an answer."""
