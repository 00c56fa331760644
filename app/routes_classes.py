"""GET /classes and GET /classes/{wnid}: the tree of concepts."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from app.answers import class_detail, class_summary
from app.errors import InvalidParameterError, NotReadyError, UnknownClassError, UnknownModelError, error_responses
from app.negotiation import matches_etag
from app.schemas import ClassDetail, ClassesParameters, ClassList
from app.state import ChosenDetector, ServedModels
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
