"""The concepts that a model answers with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from model.metadata import ModelMetadata


@dataclass(frozen=True)
class Concept:
    """A concept of the WordTree.

    Attributes:
        wnid: its WordNet id, such as "n02084071". Names are ambiguous; ids are not.
        name: such as "dog".
        synonyms: other names.
        definition: WordNet's.
        trained: whether the model can answer with it.
    """

    wnid: str
    name: str
    synonyms: tuple[str, ...]
    definition: str
    trained: bool
    _concepts: "Concepts" = field(repr=False, compare=False)

    @property
    def parent(self) -> "Concept | None":
        """The more general concept above it; None for a root."""
        path = self._concepts.path_to(self.wnid)
        return path[-2] if len(path) > 1 else None

    @property
    def children(self) -> "tuple[Concept, ...]":
        """The more specific concepts directly below it."""
        return self._concepts.children_of(self.wnid)

    @property
    def path(self) -> "tuple[Concept, ...]":
        """The concepts from the root to this one."""
        return self._concepts.path_to(self.wnid)

    @property
    def answered_by(self) -> "Concept | None":
        """The best answer to a picture of it: itself, or the nearest above it that the model was trained on."""
        return self._concepts.answer_to(self.wnid)


class Concepts(Mapping[str, Concept]):
    """All concepts of a model's tree, by WordNet id.

    Args:
        metadata: of the model.
    """

    def __init__(self, metadata: ModelMetadata) -> None:
        self._metadata, self._tree, self._trained = metadata, metadata.tree, metadata.trained_tree

    def __getitem__(self, wnid: str) -> Concept:
        """Return a concept.

        Raises:
            KeyError: there is no such id; the message lists the concepts of that name, if any.
        """
        if wnid not in self._tree:
            raise KeyError(self._hint(wnid))
        return self._concept(self._tree.index(wnid))

    def __contains__(self, wnid: object) -> bool:
        return wnid in self._tree

    def __iter__(self) -> Iterator[str]:
        return iter(self._tree.wnids)

    def __len__(self) -> int:
        return len(self._tree)

    def __repr__(self) -> str:
        return f"<{len(self)} concepts, {len(self._trained)} of them trained>"

    @property
    def roots(self) -> tuple[Concept, ...]:
        """The most general concepts."""
        return tuple(map(self._concept, self._tree.roots))

    def search(self, query: str, limit: int = 20) -> list[Concept]:
        """Return the concepts with a text in their name, a synonym or their id, the best match first."""
        return [self._concept(node) for node in self._tree.search(query)[:limit].tolist()]

    def children_of(self, wnid: str) -> tuple[Concept, ...]:
        """Return the concepts directly below one."""
        return tuple(map(self._concept, self._tree.children(self._tree.index(wnid))))

    def path_to(self, wnid: str) -> tuple[Concept, ...]:
        """Return the concepts from the root to one."""
        return tuple(map(self._concept, self._tree.path(self._tree.index(wnid))))

    def answer_to(self, wnid: str) -> Concept | None:
        """Return the best answer to a picture of a concept."""
        node = self._metadata.answered_by(self._tree.index(wnid))
        return None if node is None else self._concept(node)

    def _concept(self, node: int) -> Concept:
        tree = self._tree
        wnid = tree.wnids[node]
        return Concept(
            wnid, tree.names[node], tuple(tree.synonyms[node]), tree.definitions[node], wnid in self._trained, self
        )

    def _hint(self, wnid: str) -> str:
        named = self._tree.named(wnid)
        if not named:
            return f"there is no concept {wnid!r}; search() finds ids"
        return f"{wnid!r} is a name, not an id: {', '.join(f'{one.wnid} ({one.definition})' for one in named)}"
