"""Random forests for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def forests(draw: st.DrawFn) -> list[int]:
    """Parents of up to 50 nodes, -1 for a root; parents precede children, siblings are adjacent."""
    parents = [-1] * draw(st.integers(1, 5))
    childless = list(range(len(parents)))
    for _ in range(draw(st.integers(0, 9))):
        parent = childless.pop(draw(st.integers(0, len(childless) - 1)))
        children = draw(st.integers(1, 5))
        childless += range(len(parents), len(parents) + children)
        parents += [parent] * children
    return parents
