"""GET /classes, GET /classes/{wnid} and GET /tree: the tree of concepts."""

from typing import Annotated, Any
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Path, Query, Request, Response

from app.contract.errors import InvalidParameterError, NotReadyError, UnknownClassError, UnknownModelError
from app.contract.schemas import ClassDetail, ClassesParameters, ClassList, TreeColumns
from app.http.dependencies import ChosenDetector, ServedModels
from app.http.negotiation import matches_etag
from app.http.problems import error_responses
from app.http.serializers import class_detail, class_summary, tree_columns
from app.http.stored_answer import StoredAnswer
from model.runtime import OnnxDetector
from model.wordtree import WordTree

router = APIRouter(tags=["classes"])

_ETAG = {"ETag": {"description": "Digest of the tree.", "schema": {"type": "string"}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"headers": _ETAG},
    304: {"description": "The client has it already: If-None-Match names the tree's digest."},
    **error_responses(UnknownClassError, UnknownModelError, InvalidParameterError, NotReadyError),
}


@router.get("/classes", summary="List concepts", response_model=ClassList, responses=_RESPONSES)
def list_classes(
    request: Request,
    response: Response,
    parameters: Annotated[ClassesParameters, Query()],
    models: ServedModels,
) -> ClassList | Response:
    """The children of `parent`, or a search; without either, the roots of the tree."""
    detector = models.detector(parameters.model)
    tree = detector.tree
    nodes = select_classes(tree, parameters)
    if matches_etag(request.headers.get("if-none-match"), _etag(tree)):
        return _not_modified(tree)
    response.headers["ETag"] = _etag(tree)
    page = nodes[parameters.offset : parameters.offset + parameters.limit]
    return ClassList(total=len(nodes), items=[class_summary(node, detector) for node in page])


@router.get("/classes/{wnid}", summary="Show a concept", response_model=ClassDetail, responses=_RESPONSES)
def show_class(
    request: Request,
    response: Response,
    wnid: Annotated[str, Path(description="A WordNet id.", examples=["n02084071"])],
    detector: ChosenDetector,
) -> ClassDetail | Response:
    """One concept, with its path from the root and the concepts directly below it."""
    tree = detector.tree
    node = tree.index(wnid)
    if matches_etag(request.headers.get("if-none-match"), _etag(tree)):
        return _not_modified(tree)
    response.headers["ETag"] = _etag(tree)
    return class_detail(node, detector)


@router.get(
    "/tree",
    summary="Show the whole tree",
    response_model=TreeColumns,
    responses={
        200: {"headers": {"ETag": {"description": "Digest of the answer.", "schema": {"type": "string"}}}},
        304: {"description": "The client has it already: If-None-Match names the answer's digest."},
        **error_responses(InvalidParameterError, UnknownModelError, NotReadyError),
    },
)
def show_tree(request: Request, detector: ChosenDetector) -> Response:
    """Every concept in one answer, compact enough to draw the tree from; compressed for those who accept gzip."""
    stored = _stored_trees.get(detector)
    if stored is None:
        stored = StoredAnswer.of(tree_columns(detector).model_dump_json().encode(), "application/json")
        _stored_trees[detector] = stored
    return stored.response(request, {"Cache-Control": "no-cache"})


_stored_trees: WeakKeyDictionary[OnnxDetector, StoredAnswer] = WeakKeyDictionary()
"""Made once for each model, and gone with it."""


def select_classes(tree: WordTree, parameters: ClassesParameters) -> list[int]:
    """Return the nodes that are asked for, without limit and offset.

    Raises:
        UnknownConceptError: the parent is not in the tree.
    """
    parent = None if parameters.parent is None else tree.index(parameters.parent)
    if parameters.query is not None:
        found = tree.search(parameters.query)
        if parent is not None:
            found = found[tree.is_within(found, parent) & (found != parent)]
        nodes: list[int] = found.tolist()
        return nodes
    return list(tree.roots if parent is None else tree.children(parent))


def _etag(tree: WordTree) -> str:
    return f'"{tree.digest}"'


def _not_modified(tree: WordTree) -> Response:
    return Response(status_code=304, headers={"ETag": _etag(tree)})
