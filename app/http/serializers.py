"""From arrays to the shapes of the API: what the routes and the command line both answer with."""

from dataclasses import asdict

from app.contract.schemas import (
    Box,
    ClassDetail,
    ClassSummary,
    Concept,
    DetectedObject,
    DetectionResult,
    HesitantStep,
    ImageSize,
    ModelDescription,
    ModelIdentity,
    ModelState,
    PathStep,
    ProcessorUse,
    Timing,
    TreeColumns,
    TreeSummary,
)
from app.contract.streams import StreamAnswer, TrackedObject
from app.engine.models import ServedModel
from app.engine.pipeline import Answer
from model.answers.alternatives import Alternatives
from model.answers.detections import Detections, Floats, Nodes, exact
from model.runtime import OnnxDetector


def detection_result(answer: Answer, detector: OnnxDetector) -> DetectionResult:
    """Describe what was found in a picture."""
    found = answer.detections
    return DetectionResult(
        image=ImageSize(width=answer.width, height=answer.height),
        detections=[_detected_object(found, row, detector) for row in range(len(found))],
        model=model_identity(detector),
        timing_ms=Timing(**{step: round(spent, 2) for step, spent in asdict(answer.times).items()}),
    )


def stream_answer(answer: Answer, detector: OnnxDetector, frame: int, seconds: float, skipped: int) -> StreamAnswer:
    """Describe what was found and followed in a frame; see `StreamAnswer`."""
    assert answer.tracks is not None
    result = detection_result(answer, detector)
    return StreamAnswer(
        **dict(result)
        | {
            "detections": [
                TrackedObject(**dict(found), track=track)
                for found, track in zip(result.detections, answer.tracks.tolist(), strict=True)
            ]
        },
        frame=frame,
        seconds=seconds,
        skipped=skipped,
    )


def model_identity(detector: OnnxDetector) -> ModelIdentity:
    """Say which model answers."""
    metadata = detector.metadata
    return ModelIdentity(name=metadata.name, version=metadata.version, tree=detector.tree.digest)


def model_description(detector: OnnxDetector, processor: ProcessorUse) -> ModelDescription:
    """Describe a model in use, and how the processor runs it."""
    metadata, tree = detector.metadata, detector.tree
    return ModelDescription(
        name=metadata.name,
        version=metadata.version,
        schema_version=metadata.schema_version,
        licence=metadata.licence,
        tree=TreeSummary(
            digest=tree.digest,
            nodes=len(tree),
            roots=len(tree.roots),
            leaves=len(tree.leaves),
            trained=len(metadata.trained),
        ),
        anchors=[list(anchor) for anchor in metadata.anchors],
        stride=metadata.stride,
        sizes=list(metadata.sizes),
        default_size=metadata.default_size,
        preprocessing=metadata.preprocessing.model_dump(mode="json"),
        thresholds=metadata.thresholds.model_dump(),
        training=metadata.training,
        evaluation=metadata.evaluation,
        providers=list(detector.providers),
        processor=processor,
    )


def model_state(model: ServedModel, default: str) -> ModelState:
    """Describe a model that is served, or is not yet."""
    detector = model.detector
    return ModelState(
        name=model.name,
        default=model.name == default,
        model=None if detector is None else model_identity(detector),
        providers=[] if detector is None else list(detector.providers),
        loaded_at=model.loaded_at,
        loading=model.loading,
        refused=model.refused,
    )


def concept(node: int, detector: OnnxDetector) -> Concept:
    """Name a node."""
    return Concept(wnid=detector.tree.wnids[node], name=detector.tree.names[node])


def class_summary(node: int, detector: OnnxDetector) -> ClassSummary:
    """Describe a node with the numbers of what lies below it."""
    tree = detector.tree
    return ClassSummary(
        wnid=tree.wnids[node],
        name=tree.names[node],
        synonyms=list(tree.synonyms[node]),
        definition=tree.definitions[node],
        depth=int(tree.depths[node]),
        children=int(tree.child_count[node]),
        descendants=int(tree.descendant_count[node]),
        trained=is_trained(node, detector),
    )


def class_detail(node: int, detector: OnnxDetector) -> ClassDetail:
    """Describe a node with its path from the root and its direct children."""
    summary = class_summary(node, detector).model_dump(exclude={"children"})
    answer = detector.metadata.answered_by(node)
    return ClassDetail(
        **summary,
        answered_by=None if answer is None else concept(answer, detector),
        path=[concept(step, detector) for step in detector.tree.path(node)],
        children=[class_summary(child, detector) for child in detector.tree.children(node)],
    )


def tree_columns(detector: OnnxDetector) -> TreeColumns:
    """Describe the whole tree in little space."""
    tree, metadata = detector.tree, detector.metadata
    return TreeColumns(
        digest=tree.digest,
        wnids=list(tree.wnids),
        parents=tree.parents.tolist(),
        names=list(tree.names),
        trained=list(metadata.trained),
        unproven=metadata.trained_nodes[metadata.unproven].tolist(),
    )


def is_trained(node: int, detector: OnnxDetector) -> bool:
    """Tell whether the model can answer with a node."""
    return detector.tree.wnids[node] in detector.trained_tree


def _detected_object(found: Detections, row: int, detector: OnnxDetector) -> DetectedObject:
    x1, y1, x2, y2 = (exact(edge) for edge in found.boxes[row])
    path: list[HesitantStep | PathStep] = [*_steps(found.paths[row], found.probabilities[row], detector)]
    if found.path_alternatives is not None:
        path = [
            HesitantStep(**dict(step), alternatives=_alternatives(found.path_alternatives, (row, depth), detector))
            for depth, step in enumerate(path)
        ]
    return DetectedObject(
        box=Box(x1=x1, y1=y1, x2=x2, y2=y2),
        label=concept(int(found.nodes[row]), detector),
        score=exact(found.scores[row]),
        objectness=exact(found.objectness[row]),
        path=path,
        alternatives=_alternatives(found.alternatives, (row,), detector),
    )


def _alternatives(found: Alternatives, place: tuple[int, ...], detector: OnnxDetector) -> list[PathStep]:
    return _steps(found.nodes[place], found.probabilities[place], detector)


def _steps(nodes: Nodes, probabilities: Floats, detector: OnnxDetector) -> list[PathStep]:
    """Describe concepts up to the first -1."""
    tree = detector.tree
    return [
        PathStep(wnid=tree.wnids[node], name=tree.names[node], probability=exact(probability))
        for node, probability in zip(nodes.tolist(), probabilities, strict=True)
        if node >= 0
    ]
