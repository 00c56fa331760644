"""Which of some rows goes with which of some columns, so that they are as similar as can be in total.

Shortest augmenting paths, one row after the other (Crouse, "On implementing 2D rectangular assignment algorithms", IEEE
Transactions on Aerospace and Electronic Systems, 2016): exact, and O(N^3) with N the shorter side.
"""

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def assign(similarity: Doubles, least: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns [M] that go together, rows ascending, each used once.

    Pairs that are less similar than `least` never go together: of what is left the total similarity above `least` is
    the greatest.

    Args:
        similarity: float64 [R, C], finite.
        least: least similarity of a pair.
    """
    if similarity.shape[0] > similarity.shape[1]:
        columns, rows = assign(similarity.T, least)
        order = np.argsort(rows)
        return rows[order], columns[order]
    if not similarity.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    # What is not similar enough is worth nothing, and so is any other such pair: it is taken out again.
    worth = np.where(similarity >= least, similarity - least, 0.0)
    columns = _least_cost(worth.max() - worth)
    rows = np.arange(len(columns))
    together = similarity[rows, columns] >= least
    return rows[together], columns[together]


def _least_cost(cost: Doubles) -> NDArray[np.int64]:
    """Return the column of each row [R] of a cost [R, C], R <= C, with the least total."""
    count, width = cost.shape
    row_price, column_price = np.zeros(count), np.zeros(width)
    row_of, column_of = np.full(width, -1, np.int64), np.full(count, -1, np.int64)
    for start in range(count):
        shortest = np.full(width, np.inf)
        before = np.full(width, -1, np.int64)
        done = np.zeros(width, bool)
        reached = [start]
        row, length = start, 0.0
        while True:
            through = length + cost[row] - row_price[row] - column_price
            better = ~done & (through < shortest)
            shortest[better], before[better] = through[better], row
            column = int(np.where(done, np.inf, shortest).argmin())
            length, done[column] = float(shortest[column]), True
            if row_of[column] < 0:
                break
            row = int(row_of[column])
            reached.append(row)
        row_price[start] += length
        others = reached[1:]
        row_price[others] += length - shortest[column_of[others]]
        column_price[done] -= length - shortest[done]
        while True:
            row = int(before[column])
            row_of[column] = row
            column_of[row], column = column, int(column_of[row])
            if row == start:
                break
    return column_of
