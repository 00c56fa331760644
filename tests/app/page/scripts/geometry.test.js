/** What the page works out by itself: where the arcs of the rings lie, how numbers and colours are written. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { parameters, shortest } from "../../../../app/page/scripts/report.js";
import { between, Rings, TURN } from "../../../../app/page/scripts/rings.js";
import { readableOn, Tree } from "../../../../app/page/scripts/tree.js";

// object -> (animal -> (dog, cat), vehicle), and matter
const tree = new Tree({
  digest: "",
  wnids: ["n0", "n1", "n2", "n3", "n4", "n5"],
  parents: [-1, -1, 0, 0, 2, 2],
  names: ["object", "matter", "animal", "vehicle", "dog", "cat"],
  trained: [],
  unproven: [],
});
const rings = new Rings(tree);
const middle = ({ start = 0, end = 0, inner = 0, outer = 0 }) => {
  const angle = (start + end) / 2;
  const radius = (inner + outer) / 2;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
};

test("the roots share the turn by their leaves", () => {
  const view = rings.around(-1);
  const [object, matter] = [rings.arc(0, view), rings.arc(1, view)];
  assert.equal(object.end - object.start, (TURN * 3) / 4);
  assert.equal(matter.end - matter.start, TURN / 4);
  assert.equal(object.end, matter.start);
  assert.equal(object.start, -TURN / 4);
});

test("children lie on the next ring, within their parent's arc", () => {
  const view = rings.around(-1);
  const [parent, first, second] = [2, 4, 5].map((node) => rings.arc(node, view));
  assert.equal(first.inner, parent.outer);
  assert.equal(first.start, parent.start);
  assert.equal(second.end, parent.end);
});

test("a point on an arc is its node", () => {
  for (const shown of [-1, 0, 2]) {
    const view = rings.around(shown);
    const below = shown < 0 ? [0, 1, 2, 3, 4, 5] : shown === 0 ? [2, 3, 4, 5] : [4, 5];
    for (const node of below) {
      const [x, y] = middle(rings.arc(node, view));
      assert.equal(rings.at(x, y, view), node);
    }
    assert.equal(rings.at(0, 0, view), "middle");
    assert.equal(rings.at(1, 1, view), -1);
  }
});

test("a view moves from one to the other", () => {
  const [from, to] = [rings.around(-1), rings.around(2)];
  assert.deepEqual(between(from, to, 0), from);
  assert.deepEqual(between(from, to, 1), to);
  assert.equal(between(from, to, 0.5).depth, (from.depth + to.depth) / 2);
});

test("a float32 is written as short as it can be", () => {
  for (const text of [0, 1, 0.1, 0.7654321, 1e-7, 123456.78]) {
    const value = Math.fround(text);
    assert.equal(Math.fround(shortest(value)), value);
    assert.ok(String(shortest(value)).length <= 12);
  }
  assert.equal(shortest(Math.fround(0.1)), 0.1);
});

test("what is asked again has the service's names", () => {
  const asked = parameters({ objectness: 0.3, hierarchy: 0.5, iou: 0.45, most: 7 }, ["n1", "n2"]);
  assert.equal(
    String(asked),
    "threshold=0.3&hierarchy_threshold=0.5&iou_threshold=0.45&max_detections=7&under=n1&under=n2",
  );
});

test("text is dark on light colours and light on dark ones", () => {
  assert.equal(readableOn([255, 255, 255]), "#000");
  assert.equal(readableOn([0, 0, 160]), "#fff");
});

test("concepts without a place are none", () => {
  assert.equal(tree.index("n9"), -1);
  assert.deepEqual(tree.children(-1), [0, 1]);
  assert.deepEqual(tree.children(2), [4, 5]);
  assert.deepEqual(tree.children(4), []);
});
