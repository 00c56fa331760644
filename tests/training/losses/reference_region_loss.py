"""The region loss once more, slowly and in plain Python, with its gradient by hand, to check the fast one against.

Written from darknet's description of the rule (`forward_region_layer`, which like this writes down derivatives rather
than values) and paper section 4, and sharing no code with `training`. Tensors are dictionaries from a place (picture,
anchor, row, column) to a list of numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.model.answers.reference_walk import absolute_probabilities, path_to, siblings, softmax

Place = tuple[int, int, int, int]
Box = tuple[float, float, float, float]  # centre x, centre y, width, height, fractions of the picture
X, Y, WIDTH, HEIGHT, OBJECTNESS = range(5)


@dataclass(frozen=True)
class Truth:
    """An object; or, without a box, the label of a picture. An object of no known kind has the node -1."""

    picture: int
    node: int
    box: Box | None = None
    confidence: float = 1.0


@dataclass(frozen=True)
class Constants:
    """The loss's constants, under the names of its configuration."""

    object_scale: float
    noobject_scale: float
    class_scale: float
    coordinate_scale: float
    iou_scale: float
    further_anchor_iou: float | None
    ignore_iou: float
    rescore: bool
    prior: bool
    prior_scale: float
    squared: bool
    class_only_iou: float
    class_only_candidates: int
    distillation_scale: float


@dataclass(frozen=True)
class Problem:
    """What the loss is given; `teacher` has a row for every truth with a box, then for every one without.

    `sure` says how sure another detector is of each box; None: there is none.
    """

    parents: Sequence[int]
    anchors: Sequence[tuple[float, float]]
    height: int
    width: int
    raw: dict[Place, list[float]]
    logits: dict[Place, list[float]]
    boxed: Sequence[Truth]
    labelled: Sequence[Truth]
    negative_weight: Sequence[float]
    teacher: Sequence[Sequence[float]] | None
    constants: Constants
    sure: dict[Place, float] | None = None

    def sure_of(self, place: Place) -> float:
        """How sure another detector is of a box."""
        return 0.0 if self.sure is None else self.sure[place]


@dataclass
class Loss:
    """The loss's parts and the gradient of their sum, both over the number of pictures."""

    parts: dict[str, float]
    raw: dict[Place, list[float]]
    logits: dict[Place, list[float]]
    pictures: int
    constants: Constants = field(repr=False)

    def squared_error(self, part: str, place: Place, number: int, value: float, goal: float, scale: float) -> None:
        """Add scale / 2 * (value - goal)^2, where value is the raw output's sigmoid except for width and height."""
        slope = 1.0 if number in (WIDTH, HEIGHT) else value * (1 - value)
        self.parts[part] += scale / 2 * (value - goal) ** 2 / self.pictures
        self.raw[place][number] += scale * (value - goal) * slope / self.pictures

    def objectness(self, part: str, place: Place, value: float, goal: float, scale: float) -> None:
        """Add the error of an objectness."""
        if self.constants.squared:
            self.squared_error(part, place, OBJECTNESS, value, goal, scale)
        else:
            entropy = -goal * math.log(value) - (1 - goal) * math.log(1 - value)
            self.parts[part] += scale * entropy / self.pictures
            self.raw[place][OBJECTNESS] += scale * (value - goal) / self.pictures


def region_loss(problem: Problem) -> Loss:
    """Compute the loss and its gradient."""
    constants = problem.constants
    names = ("coordinates", "objectness", "no_objectness", "prior", "classes", "distillation")
    loss = Loss(
        dict.fromkeys(names, 0.0),
        {place: [0.0] * 5 for place in problem.raw},
        {place: [0.0] * len(problem.parents) for place in problem.logits},
        len(problem.negative_weight),
        constants,
    )
    responsible = responsible_places(problem)
    class_only = {truth.picture for truth in problem.labelled}
    for place, raw in problem.raw.items():
        if place in responsible:
            number = responsible[place]
            _object(loss, problem, place, problem.boxed[number])
            _classes(loss, problem, place, problem.boxed[number], number)
        elif place[0] not in class_only:
            if constants.prior:
                for side, goal in ((X, 0.5), (Y, 0.5), (WIDTH, 0.0), (HEIGHT, 0.0)):
                    value = raw[side] if side in (WIDTH, HEIGHT) else sigmoid(raw[side])
                    loss.squared_error("prior", place, side, value, goal, constants.prior_scale)
            box = decode(problem, place)
            targets = [truth.box for truth in problem.boxed if truth.picture == place[0] and truth.box]
            if max((iou(box, truth) for truth in targets), default=0.0) <= constants.ignore_iou:
                scale = constants.noobject_scale * problem.negative_weight[place[0]]
                loss.objectness("no_objectness", place, sigmoid(raw[OBJECTNESS]), problem.sure_of(place), scale)
    for number, truth in enumerate(problem.labelled):
        place = best_place(problem, truth)
        objectness = sigmoid(problem.raw[place][OBJECTNESS])
        if objectness < constants.class_only_iou:
            loss.objectness("objectness", place, objectness, constants.class_only_iou, constants.object_scale)
        _classes(loss, problem, place, truth, len(problem.boxed) + number)
    return loss


def _object(loss: Loss, problem: Problem, place: Place, truth: Truth) -> None:
    """Add the box and objectness errors of the box that answers for a truth."""
    assert truth.box is not None
    _, anchor, row, column = place
    x, y, width, height = truth.box
    raw = problem.raw[place]
    scale = truth.confidence * loss.constants.coordinate_scale * (2 - width * height)
    anchor_width, anchor_height = problem.anchors[anchor]
    loss.squared_error("coordinates", place, X, sigmoid(raw[X]), x * problem.width - column, scale)
    loss.squared_error("coordinates", place, Y, sigmoid(raw[Y]), y * problem.height - row, scale)
    goal = math.log(width * problem.width / anchor_width)
    loss.squared_error("coordinates", place, WIDTH, raw[WIDTH], goal, scale)
    goal = math.log(height * problem.height / anchor_height)
    loss.squared_error("coordinates", place, HEIGHT, raw[HEIGHT], goal, scale)
    scale = truth.confidence * loss.constants.iou_scale / loss.pictures
    loss.parts["coordinates"] += scale * (1 - generalised_iou(decode(problem, place), truth.box))
    for number in (X, Y, WIDTH, HEIGHT):
        loss.raw[place][number] -= scale * slope_of_generalised_iou(problem, place, number, truth.box)
    goal = iou(decode(problem, place), truth.box) if loss.constants.rescore else 1.0
    goal = max(goal, problem.sure_of(place))
    scale = truth.confidence * loss.constants.object_scale
    loss.objectness("objectness", place, sigmoid(raw[OBJECTNESS]), goal, scale)


def _classes(loss: Loss, problem: Problem, place: Place, truth: Truth, number: int) -> None:
    """Add the class error: on the path to the label, and beneath it towards the teacher."""
    label = truth.node
    if label < 0:
        return
    parents, logits, gradient = problem.parents, problem.logits[place], loss.logits[place]
    scale = truth.confidence * loss.constants.class_scale / loss.pictures
    for step in path_to(parents, label):
        group = siblings(parents, parents[step])
        for node, probability in zip(group, softmax([logits[node] for node in group]), strict=True):
            gradient[node] += scale * (probability - (node == step))
            if node == step:
                loss.parts["classes"] -= scale * math.log(probability)
    if problem.teacher is not None:
        value, slopes = distillation(parents, logits, problem.teacher[number], label)
        scale = truth.confidence * loss.constants.distillation_scale / loss.pictures
        loss.parts["distillation"] += scale * value
        for node, slope in enumerate(slopes):
            gradient[node] += scale * slope


def distillation(
    parents: Sequence[int], student: Sequence[float], teacher: Sequence[float], label: int
) -> tuple[float, list[float]]:
    """KL to the student from what the teacher says beneath a label, as far as it sees the label, and its gradient."""
    absolute = absolute_probabilities(parents, teacher)
    target = {label: 1.0}
    value, gradient = 0.0, [0.0] * len(parents)
    for parent in range(len(parents)):  # parents come before children
        group = siblings(parents, parent)
        if label not in path_to(parents, parent) or not group:
            continue
        for node in group:
            between = path_to(parents, node)[len(path_to(parents, label)) :]
            even = math.prod(1 / len(siblings(parents, parents[step])) for step in between)
            target[node] = absolute[node] + (1 - absolute[label]) * even
        for node, probability in zip(group, softmax([student[node] for node in group]), strict=True):
            value += target[node] * math.log(target[node] / target[parent] / probability)
            gradient[node] = target[parent] * probability - target[node]
    return value, gradient


def responsible_place(problem: Problem, truth: Truth) -> Place:
    """The cell of the truth's centre, and the anchor whose shape overlaps the truth's most."""
    assert truth.box is not None
    x, y, width, height = truth.box
    shape = (0.0, 0.0, width * problem.width, height * problem.height)
    overlaps = [iou((0.0, 0.0, *anchor), shape) for anchor in problem.anchors]
    row, column = int(y * problem.height), int(x * problem.width)
    return truth.picture, overlaps.index(max(overlaps)), min(row, problem.height - 1), min(column, problem.width - 1)


def responsible_places(problem: Problem) -> dict[Place, int]:
    """The number of the truth each box answers for; a later truth takes the place of an earlier one."""
    places: dict[Place, int] = {}
    least = problem.constants.further_anchor_iou
    for number, truth in enumerate(problem.boxed):
        assert truth.box is not None
        picture, _, row, column = responsible_place(problem, truth)
        shape = (0.0, 0.0, truth.box[WIDTH] * problem.width, truth.box[HEIGHT] * problem.height)
        for further, anchor in enumerate(problem.anchors):
            if least is not None and iou((0.0, 0.0, *anchor), shape) >= least:
                places[picture, further, row, column] = number
    for number, truth in enumerate(problem.boxed):
        places[responsible_place(problem, truth)] = number
    return places


def best_place(problem: Problem, truth: Truth) -> Place:
    """The box of highest objectness times probability of the label, among the candidates of highest objectness."""
    places = [place for place in problem.raw if place[0] == truth.picture]
    places.sort(key=lambda place: -problem.raw[place][OBJECTNESS])
    candidates = places[: problem.constants.class_only_candidates or len(places)]

    def score(place: Place) -> float:
        probability = absolute_probabilities(problem.parents, problem.logits[place])[truth.node]
        return sigmoid(problem.raw[place][OBJECTNESS]) * probability

    return max(candidates, key=score)


def decode(problem: Problem, place: Place) -> Box:
    """The box that the raw outputs of a place stand for."""
    _, anchor, row, column = place
    raw = problem.raw[place]
    return (
        (column + sigmoid(raw[X])) / problem.width,
        (row + sigmoid(raw[Y])) / problem.height,
        problem.anchors[anchor][0] * math.exp(raw[WIDTH]) / problem.width,
        problem.anchors[anchor][1] * math.exp(raw[HEIGHT]) / problem.height,
    )


def iou(first: Box, second: Box) -> float:
    """Intersection over union."""
    shared = 1.0
    for centre, side in ((X, WIDTH), (Y, HEIGHT)):
        low = max(first[centre] - first[side] / 2, second[centre] - second[side] / 2)
        high = min(first[centre] + first[side] / 2, second[centre] + second[side] / 2)
        shared *= max(0.0, high - low)
    return shared / (first[WIDTH] * first[HEIGHT] + second[WIDTH] * second[HEIGHT] - shared)


def generalised_iou(first: Box, second: Box) -> float:
    """The IOU, less the part of the box around both that neither covers."""
    around = 1.0
    for centre, side in ((X, WIDTH), (Y, HEIGHT)):
        low = min(first[centre] - first[side] / 2, second[centre] - second[side] / 2)
        around *= max(first[centre] + first[side] / 2, second[centre] + second[side] / 2) - low
    overlap = iou(first, second)
    areas = first[WIDTH] * first[HEIGHT] + second[WIDTH] * second[HEIGHT]
    union = areas / (1 + overlap)  # shared = overlap * union, and union = areas - shared
    return overlap - (around - union) / around


def slope_of_generalised_iou(problem: Problem, place: Place, number: int, truth: Box) -> float:
    """Its derivative by a raw output, by central differences."""
    step, raw = 1e-6, problem.raw[place]
    before = raw[number]
    values = []
    for raw[number] in (before - step, before + step):
        values.append(generalised_iou(decode(problem, place), truth))
    raw[number] = before
    return (values[1] - values[0]) / (2 * step)


def sigmoid(x: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-x))
