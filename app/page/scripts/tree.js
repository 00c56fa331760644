/** The tree of concepts: what model/wordtree.py derives from the columns of GET /tree, as far as the page needs it. */

/**
 * @typedef {object} Columns the answer of GET /tree
 * @property {string} digest
 * @property {string[]} wnids
 * @property {number[]} parents
 * @property {string[]} names
 * @property {number[]} trained
 * @property {number[]} unproven
 */

export class Tree {
  /** @param {Columns} columns */
  constructor(columns) {
    const size = columns.wnids.length;
    this.size = size;
    this.wnids = columns.wnids;
    this.names = columns.names;
    this.parents = Int32Array.from(columns.parents);
    this.trained = flags(size, columns.trained);
    this.unproven = flags(size, columns.unproven);
    this.depths = new Int32Array(size);
    this.firstChild = new Int32Array(size);
    this.childCount = new Int32Array(size);
    /** How many nodes lie below each. */
    this.descendants = new Int32Array(size);
    /** How many leaves lie below each; a leaf counts as one. */
    this.leaves = new Int32Array(size);
    /** When a walk through the whole tree, depth first, meets each. */
    this.met = new Int32Array(size);
    /** @type {number[]} */
    this.roots = [];
    this.places = new Map(columns.wnids.map((wnid, node) => [wnid, node]));
    this.#derive();
  }

  #derive() {
    const { size, parents } = this;
    for (let node = 0; node < size; node += 1) {
      const parent = parents[node];
      if (parent < 0) {
        this.roots.push(node);
        continue;
      }
      this.depths[node] = this.depths[parent] + 1;
      if (!this.childCount[parent]) this.firstChild[parent] = node;
      this.childCount[parent] += 1;
    }
    for (let node = size - 1; node >= 0; node -= 1) {
      if (!this.childCount[node]) this.leaves[node] = 1;
      if (parents[node] < 0) continue;
      this.descendants[parents[node]] += this.descendants[node] + 1;
      this.leaves[parents[node]] += this.leaves[node];
    }
    for (let node = 0; node < size; node += 1) {
      const parent = parents[node];
      const elder = node > 0 && parents[node - 1] === parent ? node - 1 : -1;
      if (elder >= 0) this.met[node] = this.met[elder] + this.descendants[elder] + 1;
      else this.met[node] = parent < 0 ? 0 : this.met[parent] + 1;
    }
  }

  /**
   * Find a concept's place.
   * @param {string} wnid
   * @returns {number} -1 where the tree does not hold it
   */
  index(wnid) {
    return this.places.get(wnid) ?? -1;
  }

  /**
   * @param {number} node -1 for the roots
   * @returns {number[]}
   */
  children(node) {
    if (node < 0) return this.roots;
    return Array.from({ length: this.childCount[node] }, (_, place) => this.firstChild[node] + place);
  }

  /**
   * @param {number} node
   * @returns {number[]} the nodes from the root down to this one
   */
  path(node) {
    const path = [];
    for (let step = node; step >= 0; step = this.parents[step]) path.unshift(step);
    return path;
  }

  /**
   * Tell whether a node is the ancestor itself or lies below it.
   * @param {number} node
   * @param {number} ancestor
   */
  isWithin(node, ancestor) {
    const steps = this.met[node] - this.met[ancestor];
    return steps >= 0 && steps <= this.descendants[ancestor];
  }

  /**
   * A concept's hue, 0 to 360: neighbours in the tree have close ones, the same as in the service's own pictures.
   * @param {number} node
   */
  hue(node) {
    return (360 * this.met[node]) / this.size;
  }

  /**
   * A concept's colour: `branch_colour` of app/engine/drawing.py.
   * @param {number} node
   * @returns {[number, number, number]} red, green and blue, 0 to 255
   */
  colour(node) {
    const sixth = this.hue(node) / 60;
    /** @param {number} shift */
    const channel = (shift) => {
      const place = (shift + sixth) % 6;
      return Math.round(255 * 0.95 * (1 - 0.8 * Math.max(0, Math.min(place, 4 - place, 1))));
    };
    return [channel(5), channel(3), channel(1)];
  }
}

/**
 * @param {number} size
 * @param {number[]} places
 */
function flags(size, places) {
  const marked = new Uint8Array(size);
  for (const place of places) marked[place] = 1;
  return marked;
}

/**
 * Black or white, whichever is easier to read on a colour (ITU-R BT.601 luma), as in app/engine/drawing.py.
 * @param {[number, number, number]} colour
 */
export function readableOn([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#000" : "#fff";
}

/** @param {[number, number, number]} colour */
export const css = (colour) => `rgb(${colour.join(" ")})`;
