"""Teaching a model file new concepts: from a few pictures with a label alone, without touching what it learned."""
