/** The page's walk, its tree and its geometry against the service's answers: `walk_cases.json`, which Python reads too. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { shown } from "../../../../app/page/scripts/report.js";
import { Tree } from "../../../../app/page/scripts/tree.js";
import { answer, candidates, overlap, standing } from "../../../../app/page/scripts/walk.js";

/**
 * @typedef {object} Case
 * @property {import("../../../../app/page/scripts/tree.js").Columns} columns
 * @property {import("../../../../app/page/scripts/api.js").DetectionResult} found
 * @property {import("../../../../app/page/scripts/walk.js").Thresholds} thresholds
 * @property {string[]} under
 * @property {import("../../../../app/page/scripts/walk.js").Found[]} expected
 * @property {{ depths: number[], descendants: number[], paths: number[][], colours: number[][], overlaps: number[][] }}
 *   facts
 */

/** @type {Case[]} */
const CASES = JSON.parse(readFileSync(new URL("../walk_cases.json", import.meta.url), "utf8"));

test("there are cases", () => assert.equal(CASES.length, 40));

for (const [number, { columns, found, thresholds, under, expected, facts }] of CASES.entries()) {
  describe(`case ${number}`, () => {
    const tree = new Tree(columns);
    const nodes = columns.wnids.map((_, node) => node);

    test("is answered as by the service", () => {
      const places = new Set(under.map((wnid) => tree.index(wnid)));
      const answers = answer(candidates(found.detections, tree), thresholds, tree, places);
      assert.deepEqual(shown(found, answers).detections, expected);
    });

    test("has the service's tree", () => {
      assert.deepEqual([...tree.depths], facts.depths);
      assert.deepEqual([...tree.descendants], facts.descendants);
      assert.deepEqual(
        nodes.map((node) => tree.path(node)),
        facts.paths,
      );
      for (const node of nodes) {
        assert.deepEqual(tree.colour(node), facts.colours[node]);
        for (const other of nodes) assert.equal(tree.isWithin(node, other), facts.paths[node].includes(other));
      }
    });

    test("has the service's overlaps", () => {
      const boxes = candidates(found.detections, tree).map(({ box }) => box);
      assert.deepEqual(
        boxes.map((one) => boxes.map((other) => overlap(one, other))),
        facts.overlaps,
      );
    });
  });
}

describe("a path", () => {
  // 0 -> 1 -> 2, of which 2 is unproven, and 0 -> 3
  const tree = new Tree({
    digest: "",
    wnids: ["n0", "n1", "n3", "n2"],
    parents: [-1, 0, 0, 1],
    names: ["object", "animal", "vehicle", "dog"],
    trained: [0, 1, 2, 3],
    unproven: [3],
  });
  const path = {
    id: 0,
    box: { x1: 0, y1: 0, x2: 1, y2: 1 },
    objectness: 1,
    nodes: [0, 1, 3],
    alternatives: [[], [], []],
  };
  const everything = new Set();

  test("ends above the first improbable node, and never below its start", () => {
    const candidate = { ...path, probabilities: [1, 0.5, 0.25] };
    assert.equal(standing(candidate, 0.51, tree, everything), 1);
    assert.equal(standing(candidate, 1, tree, everything), 1);
  });

  test("keeps a node that is exactly as probable as asked, and leaves out what is unproven", () => {
    assert.equal(standing({ ...path, probabilities: [1, 0.5, 0.25] }, 0.5, tree, everything), 2);
    assert.equal(standing({ ...path, probabilities: [1, 0.5, 0.5] }, 0.5, tree, everything), 2);
  });

  test("is no answer where nothing it may start from is probable enough", () => {
    assert.equal(standing({ ...path, probabilities: [1, 0.5, 0.25] }, 0.6, tree, new Set([1])), 0);
    assert.equal(standing({ ...path, probabilities: [1, 0.5, 0.25] }, 0.1, tree, new Set([2])), 0);
  });
});

test("boxes that do not touch, or are empty, do not overlap", () => {
  const box = { x1: 0, y1: 0, x2: 2, y2: 2 };
  assert.equal(overlap(box, { x1: 2, y1: 0, x2: 4, y2: 2 }), 0);
  assert.equal(overlap({ x1: 1, y1: 1, x2: 1, y2: 1 }, { x1: 1, y1: 1, x2: 1, y2: 1 }), 0);
  assert.equal(overlap(box, box), 1);
  assert.equal(overlap(box, { x1: 0, y1: 0, x2: 2, y2: 1 }), 0.5);
});
