"""The tree softmax and the walk once more, slowly and in plain Python, to check the fast ones against.

Written from YOLO9000's own words (arXiv 1612.08242, section 4, "Hierarchical classification" and "Joint
classification and detection"), and sharing no code with `model`: a forest is a list of parents, -1 for a
root.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def siblings(parents: Sequence[int], parent: int) -> list[int]:
    """The nodes with this parent; those with parent -1 are the roots."""
    return [node for node, its_parent in enumerate(parents) if its_parent == parent]


def softmax(logits: Sequence[float]) -> list[float]:
    """exp(x) over the sum of all exp(x), the greatest subtracted first so that nothing overflows."""
    greatest = max(logits)
    powers = [math.exp(logit - greatest) for logit in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]


def absolute_probabilities(parents: Sequence[int], logits: Sequence[float]) -> list[float]:
    """The product of the conditional probabilities on the path from the root; the roots are a softmax too."""
    conditional = [0.0] * len(parents)
    for parent in {*parents}:
        group = siblings(parents, parent)
        for node, probability in zip(group, softmax([float(logits[node]) for node in group]), strict=True):
            conditional[node] = probability
    return [math.prod(conditional[step] for step in path_to(parents, node)) for node in range(len(parents))]


def path_to(parents: Sequence[int], node: int) -> list[int]:
    """The nodes from the root down to this one."""
    return [node] if parents[node] < 0 else [*path_to(parents, parents[node]), node]


def walk(
    parents: Sequence[int],
    logits: Sequence[float],
    threshold: float,
    under: Sequence[int] = (),
    unproven: Sequence[int] = (),
) -> tuple[list[int], list[float]]:
    """The path of the answer, from its root, and the absolute probability of each of its nodes.

    From the paper's description: at every split take the most confident branch, down to some threshold. Both
    lists are empty if none of `under` reaches the threshold. No answer ends at an unproven node below its start.
    """
    absolute = absolute_probabilities(parents, logits)
    if under:
        outermost = [node for node in set(under) if set(path_to(parents, node)[:-1]).isdisjoint(under)]
        start = max(sorted(outermost), key=lambda node: absolute[node])
        if absolute[start] < threshold:
            return [], []
        path = path_to(parents, start)
    else:
        path = [max(siblings(parents, -1), key=lambda node: logits[node])]
    start = path[-1]
    while children := siblings(parents, path[-1]):
        # The greatest logit is the greatest probability; unlike that, it is never rounded into a tie.
        likeliest = max(children, key=lambda node: logits[node])
        if absolute[likeliest] < threshold:
            break
        path.append(likeliest)
    while path[-1] in unproven and path[-1] != start:
        path.pop()
    return path, [absolute[node] for node in path]


def alternatives(
    parents: Sequence[int], logits: Sequence[float], node: int, unproven: Sequence[int] = ()
) -> list[tuple[int, float]]:
    """At most three concepts below a node that a walk hesitated between there, and their absolute probabilities."""
    absolute = absolute_probabilities(parents, logits)
    children = siblings(parents, node)
    while len(children) == 1 and children[0] in unproven:
        children = siblings(parents, children[0])
    if not children:
        return []
    conditional = softmax([float(logits[child]) for child in children])
    if len(children) >= 3 and max(conditional) * len(children) < 1.2:
        return []
    found = []
    for child in children:
        line = [child]
        while below := siblings(parents, line[-1]):
            likeliest = max(below, key=lambda node: logits[node])
            if absolute[likeliest] < 0.1 or absolute[likeliest] <= absolute[child] / 2:
                break
            line.append(likeliest)
        proven = [step for step in line if step not in unproven]
        if absolute[child] >= 0.1 and proven:
            found.append((proven[-1], absolute[proven[-1]]))
    return sorted(found, key=lambda one: (-one[1], one[0]))[:3]
