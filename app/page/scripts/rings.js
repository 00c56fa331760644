/**
 * Where the arcs of a sunburst lie: each ring a level, each arc a concept, as wide as the leaves below it are many.
 *
 * One concept stands in the middle and fills the turn. What is in view is given by a stretch of the leaves of the whole
 * tree, a depth and a number of rings; going in or out moves these four. The middle is as wide as a ring.
 *
 * @typedef {import("./tree.js").Tree} Tree
 * @typedef {{ from: number, to: number, depth: number, rings: number }} View
 * @typedef {{ start: number, end: number, inner: number, outer: number }} Arc angles from the x axis, and radii of 0 to 1
 */

export const TURN = 2 * Math.PI;
const MOST_RINGS = 5;
const LEAST_RINGS = 2;

export class Rings {
  #tree;
  /** The first leaf below each node, counted along the whole tree. */
  #firstLeaf;
  /** Levels below each node. */
  #heights;

  /** @param {Tree} tree */
  constructor(tree) {
    this.#tree = tree;
    this.#firstLeaf = new Int32Array(tree.size);
    this.#heights = new Int32Array(tree.size);
    for (let node = 1; node < tree.size; node += 1) {
      const parent = tree.parents[node];
      const sibling = tree.parents[node - 1] === parent;
      this.#firstLeaf[node] = sibling ? this.#firstLeaf[node - 1] + tree.leaves[node - 1] : this.#firstLeaf[parent];
    }
    for (let node = tree.size - 1; node >= 0; node -= 1) {
      const parent = tree.parents[node];
      if (parent >= 0) this.#heights[parent] = Math.max(this.#heights[parent], this.#heights[node] + 1);
    }
  }

  /**
   * What is in view with a node in the middle.
   * @param {number} node -1 for the whole tree
   * @returns {View}
   */
  around(node) {
    const tree = this.#tree;
    if (node < 0) {
      const total = tree.roots.reduce((sum, root) => sum + tree.leaves[root], 0);
      return { from: 0, to: total, depth: -1, rings: MOST_RINGS };
    }
    const from = this.#firstLeaf[node];
    const rings = Math.max(LEAST_RINGS, Math.min(MOST_RINGS, this.#heights[node]));
    return { from, to: from + tree.leaves[node], depth: tree.depths[node], rings };
  }

  /**
   * @param {number} node
   * @param {View} view
   * @returns {Arc} it may be empty, or end before it begins where the node lies further out than the middle
   */
  arc(node, { from, to, depth, rings }) {
    const first = this.#firstLeaf[node];
    const level = this.#tree.depths[node] - depth;
    /** @param {number} leaf */
    const angle = (leaf) => TURN * (Math.max(0, Math.min(1, (leaf - from) / (to - from))) - 0.25);
    return {
      start: angle(first),
      end: angle(first + this.#tree.leaves[node]),
      inner: Math.max(1, level) / (rings + 1),
      outer: Math.min(rings + 1, level + 1) / (rings + 1),
    };
  }

  /**
   * The node at a point, whose distance to the centre is 0 to 1.
   * @param {number} x
   * @param {number} y
   * @param {View} view
   * @returns {number | "middle"} -1 for none
   */
  at(x, y, { from, to, depth, rings }) {
    const tree = this.#tree;
    const level = Math.floor(Math.hypot(x, y) * (rings + 1));
    if (level === 0) return "middle";
    if (level > rings) return -1;
    const turned = (Math.atan2(y, x) / TURN + 1.25) % 1;
    const leaf = from + turned * (to - from);
    const wanted = Math.round(depth) + level;
    for (let children = tree.roots; ; ) {
      const node = children.find((child) => leaf < this.#firstLeaf[child] + tree.leaves[child]) ?? -1;
      if (node < 0 || tree.depths[node] === wanted) return node;
      children = tree.children(node);
    }
  }
}

/**
 * Between two views.
 * @param {View} a
 * @param {View} b
 * @param {number} share 0 for a, 1 for b
 * @returns {View}
 */
export function between(a, b, share) {
  /** @param {keyof View} name */
  const mixed = (name) => a[name] + (b[name] - a[name]) * share;
  return { from: mixed("from"), to: mixed("to"), depth: mixed("depth"), rings: mixed("rings") };
}
