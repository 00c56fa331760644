"""Adds rows for new concepts to the graph of a model file, behind all that it learned.

Nothing before is changed. The old class logits give each node's probability P(node) as before. The rows
(`training.teaching.rows`) give P(new) of each new concept, and P(none) of none of them, for the same box. The new graph
gives, for every node of the tree with the new concepts,

    P'(node) = P(none) P(node) + the sum of P(new) over the new concepts at and beneath the node

which is a probability again: it sums to 1 over the roots, and a node has that of its children together. Thus a box of
a new concept goes down its path whatever the old class layer says at every fork of it, and a box with P(new) = 0 is
named as before. Only sibling groups on the paths of new concepts change; a class logit there becomes the logarithm of
P'(node), of which a softmax over the group makes P'(node) / P'(parent).

A new concept beneath a concept without trained children has no sibling, so it would always have its parent's
probability. There a node for **all other kinds** of the parent is put beside it: it gets what the old layers, or a row
of the parent's own, give the parent, and no answer ends at it (`ModelMetadata.others`).
"""

from typing import Any, Final, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.teaching.file.columns import Columns
from training.teaching.file.seen import ClassTensors, NotTeachableError, class_tensors
from training.teaching.memory import LEAST_REST

Floats = NDArray[np.float32]

PREFIX: Final = "taught/"
"""What the names of all nodes and tensors that teaching adds begin with."""
OLD_LOGITS: Final = f"{PREFIX}old_logits"
IMPOSSIBLE: Final = -1e30  # a logit that no softmax gives anything; minus infinity would make NaN of sums
LEAST: Final = 1e-30  # probability of which a logarithm is taken


class GraphRows(NamedTuple):
    """What a box's logits are, of C new concepts and of none of them.

    Attributes:
        weights, bias: float32 [C, D] and [C], of the concepts, for the vector that the class layer sees.
        none: float32 [3]; what none of them has for each number of `training.teaching.memory.sureness`.
        none_bias: float32 [].
    """

    weights: Floats
    bias: Floats
    none: Floats
    none_bias: Floats


def add_rows(model: onnx.ModelProto, columns: Columns, rows: GraphRows) -> None:
    """Put rows behind the class layer of a graph, in place; rows that were added before must be removed before.

    Args:
        model: of a model file.
        columns: of the new class logits.
        rows: one for each of `columns.new`; where there is none, only the old logits are put in order.

    Raises:
        NotTeachableError: the graph has no such class layer.
    """
    tensors = class_tensors(model)
    if not tensors.selection:
        raise NotTeachableError("the graph gives out class logits of all boxes, which no export of this project does")
    made = _Made()
    logits = made.node("Identity", tensors.logits, name=OLD_LOGITS)
    if columns.new:
        logits = _mixed(made, logits, _chances(made, tensors, rows), columns)
    else:
        logits = made.node("Gather", logits, made.constant(columns.old), axis=1)
    first = tensors.selection[0]
    place = next(number for number, node in enumerate(model.graph.node) if node.output[0] == first.output[0])
    model.graph.node[place].input[0] = logits
    nodes = [*model.graph.node[:place], *made.nodes, *model.graph.node[place:]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(made.constants)
    _set_width(model, len(columns.tree))


def remove_rows(model: onnx.ModelProto, width: int) -> None:
    """Take out of a graph, in place, what `add_rows` added; a graph without is left as it is.

    Args:
        model: of a model file.
        width: how many class logits the graph has without.
    """
    graph = model.graph
    old = next((node.input[0] for node in graph.node if node.output[0] == OLD_LOGITS), None)
    if old is None:
        return
    nodes = [node for node in graph.node if not node.output[0].startswith(PREFIX)]
    for node in nodes:
        for place, name in enumerate(node.input):
            if name.startswith(PREFIX):
                node.input[place] = old
    constants = [tensor for tensor in graph.initializer if not tensor.name.startswith(PREFIX)]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    _set_width(model, width)


def _set_width(model: onnx.ModelProto, width: int) -> None:
    (output,) = (one for one in model.graph.output if one.name == "class_logits")
    output.type.tensor_type.shape.dim[1].dim_value = width


class _Made:
    """Nodes and constants that are to be added to a graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def node(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node with one output; return the output's name."""
        output = name or f"{PREFIX}{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, values: NDArray[Any]) -> str:
        """Add a constant; return its name."""
        name = f"{PREFIX}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def number(self, value: float) -> str:
        """Add a number in single precision; return its name."""
        return self.constant(np.array(value, np.float32))


def _chances(made: _Made, tensors: ClassTensors, rows: GraphRows) -> str:
    """Return the logarithms of P(none) and of each P(new), [R, 1 + C]: `training.teaching.rows` once more."""
    concepts = made.node("Gemm", tensors.seen, made.constant(rows.weights), made.constant(rows.bias), transB=1)
    every = made.node("LogSoftmax", tensors.classifier, axis=1)
    axis = made.constant(np.array([1], np.int64))
    greatest = made.node("ReduceMax", every, axis, keepdims=1)
    rest = made.node("Sub", made.number(1), made.node("Exp", greatest))
    rest = made.node("Log", made.node("Max", rest, made.number(LEAST_REST)))
    entropy = made.node("ReduceSum", made.node("Mul", made.node("Exp", every), every), axis, keepdims=1)
    sureness = made.node("Concat", greatest, rest, made.node("Neg", entropy), axis=1)
    none = made.node(
        "Gemm", sureness, made.constant(rows.none[None]), made.constant(rows.none_bias.reshape(1)), transB=1
    )
    return made.node("LogSoftmax", made.node("Concat", none, concepts, axis=1), axis=1)


def _mixed(made: _Made, logits: str, chances: str, columns: Columns) -> str:
    """Return the new graph's class logits [R, T']."""
    tree = columns.tree
    # The groups on the paths of new concepts, laid out as [groups, members] and filled up.
    groups = np.unique(tree.group_of[tree.closure(columns.lowest)])
    first, size = tree.group_first[groups], tree.group_size[groups]
    members = first[:, None] + np.arange(size.max())[None]
    stands = np.arange(size.max())[None] < size[:, None]
    members = np.where(stands, members, 0)
    # Two columns are put behind the old logits: of one that has all of its group, and of none at all.
    whole, none_of_it = columns.width, columns.width + 1
    source = np.where(columns.old[members] >= 0, columns.old[members], none_of_it)
    have_all = [node for node in columns.others if columns.old[tree.parents[node]] >= 0]
    source = np.where(np.isin(members, have_all), whole, source)
    source = np.where(stands, source, none_of_it)
    behind = made.constant(np.array([[0, IMPOSSIBLE]], np.float32))
    rows = made.node("Slice", made.node("Shape", logits), *(made.constant(np.array([n], np.int64)) for n in (0, 1)))
    two = made.constant(np.array([2], np.int64))
    filled = made.node("Expand", behind, made.node("Concat", rows, two, axis=0))
    wide = made.node("Concat", logits, filled, axis=1)
    conditional = made.node("LogSoftmax", made.node("Gather", wide, made.constant(source), axis=1), axis=2)
    # An all but impossible member of a group without old ones must not get a share of it.
    had = made.constant(np.where(source <= whole, 0, IMPOSSIBLE).astype(np.float32))
    conditional = made.node("Add", conditional, had)

    # log P of each group's parent, as the old layers have it: the sum of the conditionals on the way to it.
    flat = made.node("Reshape", conditional, made.constant(np.array([0, -1], np.int64)))
    place = {int(node): number for number, node in enumerate(members.ravel().tolist()) if stands.ravel()[number]}
    parents = tree.parents[first]
    above = np.zeros((members.size, len(groups)), np.float32)
    for number, parent in enumerate(parents.tolist()):
        above[[place[node] for node in (tree.path(parent) if parent >= 0 else ())], number] = 1
    used = np.flatnonzero(above.any(axis=1))
    on_paths = made.node("Gather", flat, made.constant(used), axis=1)
    of_parents = made.node("MatMul", on_paths, made.constant(above[used]))
    of_parents = made.node("Unsqueeze", of_parents, made.constant(np.array([2], np.int64)))

    first_column, last_axis = (made.constant(np.array([n], np.int64)) for n in (0, 2))
    none = made.node("Unsqueeze", made.node("Gather", chances, first_column, axis=1), last_axis)
    before = made.node("Add", made.node("Add", conditional, of_parents), none)
    # What new concepts add to each member.
    beneath = np.stack([np.isin(members, tree.path(node)) & stands for node in columns.lowest]).astype(np.float32)
    after = made.node("Gather", chances, made.constant(1 + np.arange(len(columns.lowest))), axis=1)
    added = made.node("MatMul", made.node("Exp", after), made.constant(beneath.reshape(len(columns.lowest), -1)))
    added = made.node("Log", made.node("Max", added, made.number(LEAST)))
    added = made.node("Reshape", added, made.constant(np.array([0, *members.shape], np.int64)))
    # log(exp(before) + exp(added)), which neither overflows nor loses the lesser one.
    greater = made.node("Max", before, added)
    distance = made.node("Abs", made.node("Sub", before, added))
    lesser = made.node("Log", made.node("Add", made.number(1), made.node("Exp", made.node("Neg", distance))))
    both = made.node("Reshape", made.node("Add", greater, lesser), made.constant(np.array([0, -1], np.int64)))

    order = columns.old.copy()
    for node, number in place.items():
        order[node] = columns.width + number
    return made.node("Gather", made.node("Concat", logits, both, axis=1), made.constant(order), axis=1)
