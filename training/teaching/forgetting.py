"""Takes concepts out of what a model answers with: taught ones, and those that it had before."""

from collections.abc import Sequence

from model.wordtree import WordTree
from training.command_line import ConfigurationError
from training.data.formats.detection_set import some_of
from training.teaching.file.columns import plan
from training.teaching.file.lesson import Lesson, concept_of


def forget(lesson: Lesson, given: Sequence[str]) -> tuple[Lesson, tuple[str, ...]]:
    """Return a lesson without some concepts, and their names.

    Args:
        lesson: of a model file.
        given: ids or names of concepts.

    Raises:
        ConfigurationError: the model has no such concept, or others beneath it.
    """
    names = []
    for one in given:
        curriculum = plan(lesson.base, [concept_of(concept) for concept in lesson.concepts], lesson.forgotten)
        tree, unending = curriculum.columns.tree, curriculum.unending
        node = _find(one, tree)
        beneath = [tree.names[other] for other in tree.descendants(node).tolist() if tree.wnids[other] not in unending]
        if beneath:
            raise ConfigurationError(
                f"forget: {tree.names[node]!r} has kinds that the model answers with: {some_of(beneath)}; forget them "
                f"first"
            )
        wnid = tree.wnids[node]
        kept = tuple(concept for concept in lesson.concepts if concept.wnid != wnid)
        if len(kept) < len(lesson.concepts):
            lesson = lesson.model_copy(update={"concepts": kept})
        else:
            lesson = lesson.model_copy(update={"forgotten": (*lesson.forgotten, wnid)})
        names.append(tree.names[node])
    return lesson, tuple(names)


def _find(given: str, tree: WordTree) -> int:
    """Return the one trained node that has this id or name."""
    if given in tree:
        return tree.index(given)
    found = [node for node, name in enumerate(tree.names) if name.casefold() == given.casefold()]
    if len(found) == 1:
        return found[0]
    meant = some_of([f"{tree.wnids[node]} ({tree.definitions[node]})" for node in found])
    raise ConfigurationError(
        f"forget: the model answers with several concepts {given!r}: {meant}; give an id"
        if found
        else f"forget: the model answers with no concept {given!r}"
    )
