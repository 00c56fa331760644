/**
 * The tree as rings: each ring a level, each arc a concept, as wide as the leaves below it are many.
 *
 * One concept stands in the middle and fills the turn. What is in view is given by two numbers along the leaves of the
 * whole tree, `from` and `to`, and a depth; going in or out moves these three.
 */

import { lessMotion } from "./dom.js";
import { css, readableOn } from "./tree.js";

/**
 * @typedef {import("./tree.js").Tree} Tree
 * @typedef {{ from: number, to: number, depth: number }} View
 */

const RINGS = 5;
const TURN = 2 * Math.PI;
/** Narrower arcs, in radians, are not drawn: they would be thinner than a pixel. */
const LEAST_ARC = 0.0035;
const ZOOM_MILLISECONDS = 450;

export class Sunburst {
  #canvas;
  #caption;
  #tree;
  #chosen;
  /** The first leaf below each node, counted along the whole tree. */
  #firstLeaf;
  #totalLeaves;
  #focus = -1;
  #pointed = -1;
  /** @type {View} */
  #view;
  #frame = 0;
  #radius = 0;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} caption says what is pointed at
   * @param {Tree} tree
   * @param {(node: number) => void} chosen called with the node to go to; -1 for the whole tree
   */
  constructor(canvas, caption, tree, chosen) {
    this.#canvas = canvas;
    this.#caption = caption;
    this.#tree = tree;
    this.#chosen = chosen;
    this.#firstLeaf = firstLeaves(tree);
    this.#totalLeaves = tree.roots.reduce((sum, root) => sum + tree.leaves[root], 0);
    this.#view = this.#viewOf(-1);
    canvas.addEventListener("pointermove", (event) => this.#point(this.#nodeAt(event)));
    canvas.addEventListener("pointerleave", () => this.#point(-1));
    canvas.addEventListener("click", (event) => this.#press(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    new MutationObserver(() => this.#draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Fit the canvas's pixels to its size on the screen. */
  resize() {
    const { clientWidth } = this.#canvas;
    if (!clientWidth) return;
    const pixels = Math.round(clientWidth * devicePixelRatio);
    if (this.#canvas.width !== pixels) this.#canvas.width = this.#canvas.height = pixels;
    this.#radius = clientWidth / 2;
    this.#draw();
  }

  /**
   * Put a concept into the middle; a leaf is shown around its parent.
   * @param {number} node -1 for the whole tree
   */
  select(node) {
    const tree = this.#tree;
    this.#pointed = node;
    this.#say(node);
    const focus = node >= 0 && !tree.childCount[node] ? tree.parents[node] : node;
    if (focus === this.#focus) {
      this.#draw();
      return;
    }
    this.#focus = focus;
    this.#moveTo(this.#viewOf(focus));
  }

  /**
   * @param {number} node
   * @returns {View}
   */
  #viewOf(node) {
    if (node < 0) return { from: 0, to: this.#totalLeaves, depth: -1 };
    const from = this.#firstLeaf[node];
    return { from, to: from + this.#tree.leaves[node], depth: this.#tree.depths[node] };
  }

  /** @param {View} goal */
  #moveTo(goal) {
    cancelAnimationFrame(this.#frame);
    const start = this.#view;
    const began = performance.now();
    const duration = lessMotion() ? 0 : ZOOM_MILLISECONDS;
    /** @param {number} now */
    const step = (now) => {
      const done = duration ? Math.min(1, (now - began) / duration) : 1;
      const eased = done * done * (3 - 2 * done);
      this.#view = {
        from: start.from + (goal.from - start.from) * eased,
        to: start.to + (goal.to - start.to) * eased,
        depth: start.depth + (goal.depth - start.depth) * eased,
      };
      this.#draw();
      if (done < 1) this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  #draw() {
    const context = this.#canvas.getContext("2d");
    if (!context || !this.#radius) return;
    const style = getComputedStyle(this.#canvas);
    const scale = this.#canvas.width / (2 * this.#radius);
    context.setTransform(scale, 0, 0, scale, this.#canvas.width / 2, this.#canvas.height / 2);
    context.clearRect(-this.#radius, -this.#radius, 2 * this.#radius, 2 * this.#radius);
    context.textBaseline = "middle";
    const colours = { ground: style.backgroundColor, text: style.color, dark: isDark(style.backgroundColor) };
    const waiting = [...this.#tree.roots];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (this.#drawArc(context, node, colours)) waiting.push(...this.#tree.children(node));
    }
    this.#drawMiddle(context, colours);
  }

  /**
   * Where a node's arc lies.
   * @param {number} node
   */
  #arc(node) {
    const { from, to, depth } = this.#view;
    const place = (/** @type {number} */ leaf) => TURN * Math.max(0, Math.min(1, (leaf - from) / (to - from)));
    const first = this.#firstLeaf[node];
    const ring = this.#radius / (RINGS + 1);
    const level = this.#tree.depths[node] - depth;
    return {
      start: place(first) - TURN / 4,
      end: place(first + this.#tree.leaves[node]) - TURN / 4,
      inner: Math.max(1, level) * ring,
      outer: Math.min(RINGS + 1, level + 1) * ring,
    };
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} node
   * @param {{ ground: string, text: string, dark: boolean }} colours
   * @returns {boolean} whether anything below it may be in sight
   */
  #drawArc(context, node, colours) {
    const { start, end, inner, outer } = this.#arc(node);
    if (end - start < LEAST_ARC || inner >= this.#radius) return false;
    if (outer <= inner) return true; // nearer the root than the middle
    context.beginPath();
    context.arc(0, 0, outer - 0.5, start, end);
    context.arc(0, 0, inner + 0.5, end, start, true);
    context.closePath();
    context.globalAlpha = this.#tree.trained[node] ? 1 : colours.dark ? 0.25 : 0.2;
    context.fillStyle = css(this.#tree.colour(node));
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = node === this.#pointed ? colours.text : colours.ground;
    context.lineWidth = node === this.#pointed ? 3 : 0.75;
    context.stroke();
    this.#drawName(context, node, colours, { start, end, inner, outer });
    return true;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} node
   * @param {{ text: string }} colours
   * @param {{ start: number, end: number, inner: number, outer: number }} arc
   */
  #drawName(context, node, colours, { start, end, inner, outer }) {
    const middle = (start + end) / 2;
    if ((end - start) * inner < 11 || outer - inner < 30) return;
    const name = fitted(context, this.#tree.names[node], outer - inner - 10);
    if (!name) return;
    context.save();
    context.rotate(middle);
    context.translate((inner + outer) / 2, 0);
    if (middle > TURN / 4 && middle < (3 * TURN) / 4) context.rotate(TURN / 2);
    context.textAlign = "center";
    context.fillStyle = this.#tree.trained[node] ? readableOn(this.#tree.colour(node)) : colours.text;
    context.fillText(name, 0, 0);
    context.restore();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {{ ground: string, text: string }} colours
   */
  #drawMiddle(context, colours) {
    const radius = this.#radius / (RINGS + 1);
    context.beginPath();
    context.arc(0, 0, radius - 1, 0, TURN);
    context.fillStyle = colours.ground;
    context.fill();
    context.font = "600 13px system-ui, sans-serif";
    context.fillStyle = colours.text;
    context.textAlign = "center";
    const name = this.#focus < 0 ? "all concepts" : this.#tree.names[this.#focus];
    context.fillText(fitted(context, name, 2 * radius - 14, 4), 0, this.#focus < 0 ? 0 : -6);
    context.font = "11px system-ui, sans-serif";
    if (this.#focus >= 0) context.fillText("↑ out", 0, 12);
  }

  /**
   * @param {MouseEvent} event
   * @returns {number} the node under the pointer; -1 for none, the focus for the middle
   */
  #nodeAt(event) {
    const x = event.offsetX - this.#radius;
    const y = event.offsetY - this.#radius;
    const level = Math.floor(Math.hypot(x, y) / (this.#radius / (RINGS + 1)));
    if (level === 0) return this.#focus;
    if (level > RINGS) return -1;
    const turned = (Math.atan2(y, x) + TURN / 4 + TURN) % TURN;
    const { from, to, depth } = this.#view;
    const leaf = from + (turned / TURN) * (to - from);
    const wanted = Math.round(depth) + level;
    let children = this.#tree.roots;
    for (;;) {
      const node = children.find((child) => leaf < this.#firstLeaf[child] + this.#tree.leaves[child]) ?? -1;
      if (node < 0 || this.#tree.depths[node] === wanted) return node;
      children = this.#tree.children(node);
    }
  }

  /** @param {MouseEvent} event */
  #press(event) {
    const node = this.#nodeAt(event);
    const inMiddle = node === this.#focus;
    if (inMiddle && node >= 0) this.#chosen(this.#tree.parents[node]);
    else if (node >= 0) this.#chosen(node);
  }

  /** @param {number} node */
  #point(node) {
    if (node === this.#pointed) return;
    this.#pointed = node;
    this.#say(node);
    this.#draw();
  }

  /** @param {number} node */
  #say(node) {
    const tree = this.#tree;
    this.#caption.textContent =
      node < 0
        ? `${tree.size.toLocaleString("en")} concepts`
        : `${tree.path(node).slice(-4).map((step) => tree.names[step]).join(" › ")} · ${tree.descendants[node].toLocaleString("en")} below`;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const tree = this.#tree;
    const at = this.#pointed;
    const family = at < 0 ? tree.roots : tree.children(tree.parents[at]);
    const place = family.indexOf(at);
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowRight: () => this.#point(family[(place + 1) % family.length]),
      ArrowLeft: () => this.#point(family[(place - 1 + family.length) % family.length]),
      ArrowUp: () => at >= 0 && tree.childCount[at] && this.#point(tree.firstChild[at]),
      ArrowDown: () => at >= 0 && tree.parents[at] >= 0 && this.#point(tree.parents[at]),
      Enter: () => this.#chosen(at),
      Escape: () => this.#chosen(this.#focus < 0 ? -1 : tree.parents[this.#focus]),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}

/**
 * @param {Tree} tree
 * @returns {Int32Array}
 */
function firstLeaves(tree) {
  const first = new Int32Array(tree.size);
  for (let node = 1; node < tree.size; node += 1) {
    const parent = tree.parents[node];
    if (tree.parents[node - 1] === parent) first[node] = first[node - 1] + tree.leaves[node - 1];
    else first[node] = first[parent];
  }
  return first;
}

/**
 * Shorten a name until it fits.
 * @param {CanvasRenderingContext2D} context
 * @param {string} name
 * @param {number} width
 * @param {number} [least] fewest letters that are worth it
 */
function fitted(context, name, width, least = 3) {
  if (context.measureText(name).width <= width) return name;
  for (let length = name.length - 1; length >= least; length -= 1) {
    const short = `${name.slice(0, length).trimEnd()}…`;
    if (context.measureText(short).width <= width) return short;
  }
  return "";
}

/** @param {string} colour as getComputedStyle gives it */
function isDark(colour) {
  const [red, green, blue] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  return red + green + blue < 384;
}
