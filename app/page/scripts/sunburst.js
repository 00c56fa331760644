/** The tree as rings, to go into and out of, with a pointer or with keys. */

import { shortened, writeName } from "./arc_names.js";
import { lessMotion } from "./dom.js";
import { between, Rings, TURN } from "./rings.js";
import { css, readableOn } from "./tree.js";

/** @typedef {import("./tree.js").Tree} Tree */

/** Narrower arcs, in radians, are not drawn: they would be thinner than a pixel. */
const LEAST_ARC = 0.0035;
const ZOOM_MILLISECONDS = 450;
const FONT = "system-ui, sans-serif";

export class Sunburst {
  #canvas;
  #caption;
  #tree;
  #chosen;
  #rings;
  #focus = -1;
  #selected = -1;
  #pointed = -1;
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
    this.#rings = new Rings(tree);
    this.#view = this.#rings.around(-1);
    canvas.addEventListener("pointermove", (event) => this.#point(this.#under(event)));
    canvas.addEventListener("pointerleave", () => this.#point(this.#selected));
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
    this.#selected = this.#pointed = node;
    this.#say();
    const isLeaf = node >= 0 && !this.#tree.childCount[node];
    this.#focus = isLeaf ? this.#tree.parents[node] : node;
    this.#moveTo(this.#rings.around(this.#focus));
  }

  /** @param {import("./rings.js").View} goal */
  #moveTo(goal) {
    cancelAnimationFrame(this.#frame);
    const start = this.#view;
    const began = performance.now();
    const duration = lessMotion() ? 0 : ZOOM_MILLISECONDS;
    /** @param {number} now */
    const step = (now) => {
      const done = duration ? Math.max(0, Math.min(1, (now - began) / duration)) : 1;
      this.#view = between(start, goal, done * done * (3 - 2 * done));
      this.#draw();
      if (done < 1) this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  #draw() {
    const context = this.#canvas.getContext("2d");
    if (!context || !this.#radius) return;
    const { backgroundColor: ground, color: text } = getComputedStyle(this.#canvas);
    const scale = this.#canvas.width / (2 * this.#radius);
    context.setTransform(scale, 0, 0, scale, this.#canvas.width / 2, this.#canvas.height / 2);
    context.clearRect(-this.#radius, -this.#radius, 2 * this.#radius, 2 * this.#radius);
    context.textBaseline = "middle";
    context.font = `12px ${FONT}`;
    const waiting = [...this.#tree.roots];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (this.#drawArc(context, node, ground, text)) waiting.push(...this.#tree.children(node));
    }
    if (this.#pointed >= 0) this.#outline(context, this.#pointed, text);
    this.#drawMiddle(context, ground, text);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} node
   * @param {string} ground
   * @param {string} text
   * @returns {boolean} whether anything below it may be in sight
   */
  #drawArc(context, node, ground, text) {
    const arc = this.#arc(node);
    if (arc.end - arc.start < LEAST_ARC || arc.inner >= this.#radius) return false;
    if (arc.outer <= arc.inner) return true; // nearer the root than the middle
    const trained = this.#tree.trained[node];
    trace(context, arc);
    // Neighbours have nearly one colour; a shade between odd and even ones tells them apart.
    context.globalAlpha = (trained ? 1 : 0.22) * (node % 2 ? 0.86 : 1);
    context.fillStyle = css(this.#tree.colour(node));
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = ground;
    context.lineWidth = 0.75;
    context.stroke();
    context.fillStyle = trained ? readableOn(this.#tree.colour(node)) : text;
    writeName(context, this.#tree.names[node], arc);
    return true;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} node
   * @param {string} text
   */
  #outline(context, node, text) {
    const arc = this.#arc(node);
    if (arc.end <= arc.start || arc.inner >= this.#radius || arc.outer <= arc.inner) return;
    trace(context, arc);
    context.strokeStyle = text;
    context.lineWidth = 2.5;
    context.stroke();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {string} ground
   * @param {string} text
   */
  #drawMiddle(context, ground, text) {
    const radius = this.#radius / (this.#view.rings + 1);
    const whole = this.#focus < 0;
    context.beginPath();
    context.arc(0, 0, radius - 1, 0, TURN);
    context.fillStyle = ground;
    context.fill();
    context.fillStyle = text;
    context.textAlign = "center";
    context.font = `600 13px ${FONT}`;
    const name = whole ? "all" : this.#tree.names[this.#focus];
    context.fillText(shortened(context, name, 2 * radius - 10), 0, whole ? 0 : -7);
    context.font = `11px ${FONT}`;
    if (!whole) context.fillText("↑ out", 0, 11);
  }

  /** @param {number} node */
  #arc(node) {
    const { start, end, inner, outer } = this.#rings.arc(node, this.#view);
    return { start, end, inner: inner * this.#radius, outer: outer * this.#radius };
  }

  /**
   * @param {MouseEvent} event
   * @returns {number} the node under the pointer; -1 for none
   */
  #under(event) {
    const x = event.offsetX / this.#radius - 1;
    const y = event.offsetY / this.#radius - 1;
    const node = this.#rings.at(x, y, this.#view);
    return node === "middle" ? this.#focus : node;
  }

  /** @param {MouseEvent} event */
  #press(event) {
    const node = this.#under(event);
    if (node < 0) return;
    this.#chosen(node === this.#focus ? this.#tree.parents[node] : node);
  }

  /** @param {number} node */
  #point(node) {
    if (node === this.#pointed) return;
    this.#pointed = node;
    this.#say();
    this.#draw();
  }

  #say() {
    const tree = this.#tree;
    const node = this.#pointed;
    if (node < 0) {
      this.#caption.textContent = `${tree.size.toLocaleString("en")} concepts`;
      return;
    }
    const names = tree.path(node).map((step) => tree.names[step]);
    const below = tree.descendants[node];
    const tail = `${names.length > 4 ? "… › " : ""}${names.slice(-4).join(" › ")}`;
    this.#caption.textContent = below ? `${tail} · ${below.toLocaleString("en")} below` : tail;
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
      ArrowUp: () => this.#point(at < 0 ? tree.roots[0] : tree.childCount[at] ? tree.firstChild[at] : at),
      ArrowDown: () => this.#point(at < 0 || tree.parents[at] < 0 ? at : tree.parents[at]),
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
 * @param {CanvasRenderingContext2D} context
 * @param {import("./rings.js").Arc} arc with radii in pixels
 */
function trace(context, { start, end, inner, outer }) {
  context.beginPath();
  context.arc(0, 0, outer - 0.5, start, end);
  context.arc(0, 0, inner + 0.5, end, start, true);
  context.closePath();
}
