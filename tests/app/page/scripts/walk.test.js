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

describe("two boxes", () => {
  // A line 0 to 4; below 4 are 5 and 6, which are near relatives, and 7 is another child of 3.
  const tree = new Tree({
    digest: "",
    wnids: ["n0", "n1", "n2", "n3", "n4", "n7", "n5", "n6"],
    parents: [-1, 0, 1, 2, 3, 3, 4, 4],
    names: ["object", "whole", "artifact", "instrumentality", "container", "device", "bottle", "box"],
    trained: [0, 1, 2, 3, 4, 5, 6, 7],
    unproven: [],
  });
  const thresholds = { objectness: 0, hierarchy: 0, most: 9 };

  /**
   * Count the objects two boxes show.
   * @param {string} one
   * @param {string} other
   * @param {number} height of the other box, of 1: their overlap
   * @param {number} iou the threshold
   */
  function objects(one, other, height, iou) {
    const all = [one, other].map((wnid, id) => {
      const nodes = tree.path(tree.index(wnid));
      const box = { x1: 0, y1: 0, x2: 1, y2: id ? height : 1 };
      return { id, box, objectness: 1, nodes, probabilities: nodes.map(() => 1), alternatives: nodes.map(() => []) };
    });
    return answer(all, { ...thresholds, iou }, tree).length;
  }

  for (const [kinds, one, other, iou] of /** @type {[string, string, string, number][]} */ ([
    ["on one line", "n3", "n5", 0.45],
    ["near relatives", "n5", "n6", 0.6],
    ["others", "n5", "n7", 0.7],
    ["others, one of them vague", "n3", "n7", 0.45],
  ])) {
    test(`are one object from an overlap that depends on their labels: ${kinds}`, () => {
      assert.equal(objects(one, other, iou + 0.01, 0.45), 1);
      assert.equal(objects(one, other, iou - 0.01, 0.45), 2);
      assert.equal(objects(one, other, 0.8, 0.9), 2);
      assert.equal(objects(one, other, 0.95, 0.9), 1);
    });
  }
});

test("boxes that do not touch, or are empty, do not overlap", () => {
  const box = { x1: 0, y1: 0, x2: 2, y2: 2 };
  assert.equal(overlap(box, { x1: 2, y1: 0, x2: 4, y2: 2 }), 0);
  assert.equal(overlap({ x1: 1, y1: 1, x2: 1, y2: 1 }, { x1: 1, y1: 1, x2: 1, y2: 1 }), 0);
  assert.equal(overlap(box, box), 1);
  assert.equal(overlap(box, { x1: 0, y1: 0, x2: 2, y2: 1 }), 0.5);
});
