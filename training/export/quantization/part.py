"""Which part of a graph is computed with 8 bits.

Convolutions and what lies between them, and the large linear layers that give class logits. The arithmetic of boxes and
of the objectness gate stays as it is: it is a small part of the work, and 8 bits are too few for it.
"""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
import onnx

CONVOLUTION: Final = "Conv"
LINEAR: Final = "Gemm"
LEAST_WEIGHTS: Final = 1 << 16
"""Of a linear layer that is worth quantising."""
ACTIVATIONS: Final = ("Clip", "Relu", "LeakyRelu")
FOLLOWING: Final = (*ACTIVATIONS, "MaxPool")
"""What stays in float with the layer before it: ONNX Runtime's 8-bit pooling takes ten times as long as its pooling in
float, and moves in front of a pooling what quantises its output."""
BETWEEN: Final = (*ACTIVATIONS, "Add", "Concat", "MaxPool", "Reshape", "Resize", "Transpose")
"""What may stand between two convolutions and has an integer kernel, or moves values only."""


class Part:
    """The part of a graph that may be quantised.

    Attributes:
        quantised: names of the nodes in it.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._makers = {output: node for node in model.graph.node for output in node.output}
        reached, below = set[str](), dict[str, bool]()
        for node in model.graph.node:
            sources = [self._makers[name].name for name in node.input if name in self._makers]
            follows = any(source in reached for source in sources)
            if node.op_type == CONVOLUTION or (follows and node.op_type in BETWEEN):
                reached.add(node.name)
        users: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                users.setdefault(name, []).append(node)
        for node in reversed(model.graph.node):
            after = [user for output in node.output for user in users.get(output, ())]
            below[node.name] = any(
                user.name in reached and (user.op_type == CONVOLUTION or below[user.name]) for user in after
            )
        self.quantised = {
            node.name
            for node in model.graph.node
            if node.name in reached and (below[node.name] or self._is_activated(node, users))
        }
        sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
        self.quantised |= {
            node.name
            for node in model.graph.node
            if node.op_type == LINEAR and sizes.get(node.input[1], 0) >= LEAST_WEIGHTS
        }

    def _is_activated(self, node: onnx.NodeProto, users: dict[str, list[onnx.NodeProto]]) -> bool:
        """Tell whether a last node is an activation after a convolution, or such a convolution."""
        if node.op_type == CONVOLUTION:
            return (
                all(user.op_type in ACTIVATIONS for user in users.get(node.output[0], ())) and node.output[0] in users
            )
        return node.op_type in ACTIVATIONS and self.maker(node) is not None

    def maker(self, node: onnx.NodeProto) -> str | None:
        """Return the convolution that an activation follows; None for what is none."""
        source = self._makers.get(node.input[0]) if node.op_type in ACTIVATIONS else None
        return source.name if source is not None and source.op_type == CONVOLUTION else None

    def with_followers(self, convolutions: Collection[str]) -> set[str]:
        """Return the names of nodes, and of the poolings and activations that follow them."""
        found = set(convolutions)
        for node in self._model.graph.node:  # in an order in which makers come first
            source = self._makers.get(node.input[0]) if node.op_type in FOLLOWING else None
            if source is not None and source.name in found:
                found.add(node.name)
        return found

    def upto(self, tensors: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """Return the model as far as it is needed for some tensors: they are its outputs, and alone described."""
        cut = onnx.ModelProto()
        cut.CopyFrom(self._model)
        del cut.graph.output[:], cut.graph.value_info[:]
        cut.graph.output.extend(tensors)
        drop_unused(cut.graph)
        needed = {name for node in cut.graph.node for name in node.input}
        inputs = [value for value in cut.graph.input if value.name in needed]
        del cut.graph.input[:]
        cut.graph.input.extend(inputs)
        return cut


def drop_unused(graph: onnx.GraphProto) -> None:
    """Leave out nodes and weights that no output needs."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(weights)
