/**
 * The tree as text. Only the rows in sight exist as elements; the keys are those of the ARIA pattern for trees.
 * https://www.w3.org/WAI/ARIA/apg/patterns/treeview/
 */

import { make } from "./dom.js";

/** @typedef {import("./tree.js").Tree} Tree */

const ROW_HEIGHT = 32;
/** Rows kept above and below those in sight. */
const MARGIN = 12;
/** Letters typed within this time of one another make up one word to look for. */
const TYPING_MILLISECONDS = 700;

export class TreeView {
  #place;
  #tree;
  #chosen;
  #rows;
  /** @type {Set<number>} */
  #expanded = new Set();
  /** @type {number[]} the nodes of all rows, from top to bottom */
  #shown;
  #active = 0;
  #selected = -1;
  #typed = "";
  #typedAt = 0;

  /**
   * @param {HTMLElement} place
   * @param {Tree} tree
   * @param {(node: number) => void} chosen
   */
  constructor(place, tree, chosen) {
    this.#place = place;
    this.#tree = tree;
    this.#chosen = chosen;
    this.#shown = tree.roots;
    this.#rows = make("div", { class: "rows", role: "presentation" });
    place.replaceChildren(this.#rows);
    place.addEventListener("scroll", () => this.#render());
    place.addEventListener("keydown", (event) => this.#key(event));
    place.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#render()).observe(place);
    this.#layOut();
  }

  /** @param {boolean} hidden */
  set hidden(hidden) {
    this.#place.hidden = hidden;
    if (!hidden) this.#render();
  }

  /**
   * Select a concept, and unfold the tree down to it.
   * @param {number} node -1 for none
   */
  select(node) {
    this.#selected = node;
    if (node >= 0) {
      this.#active = node;
      for (const step of this.#tree.path(node).slice(0, -1)) this.#expanded.add(step);
      this.#layOut();
      this.#reveal();
    }
    this.#render();
  }

  /** Work out which rows there are. */
  #layOut() {
    /** @type {number[]} */
    const shown = [];
    const waiting = [...this.#tree.roots].reverse();
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      shown.push(node);
      if (this.#expanded.has(node)) waiting.push(...this.#tree.children(node).reverse());
    }
    this.#shown = shown;
    this.#rows.style.height = `${shown.length * ROW_HEIGHT}px`;
    this.#render();
  }

  #render() {
    const { scrollTop, clientHeight } = this.#place;
    const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - MARGIN);
    const last = Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT) + MARGIN;
    const active = this.#shown.indexOf(this.#active);
    const rows = this.#shown.slice(first, last).map((node, at) => this.#row(node, first + at));
    // The active row must exist wherever it is: assistive technology is told its id.
    if (active >= 0 && (active < first || active >= last)) rows.push(this.#row(this.#active, active));
    this.#rows.replaceChildren(...rows);
    this.#place.setAttribute("aria-activedescendant", `tree-${this.#active}`);
  }

  /**
   * @param {number} node
   * @param {number} at
   */
  #row(node, at) {
    const tree = this.#tree;
    const parent = tree.parents[node];
    const siblings = parent < 0 ? tree.roots.length : tree.childCount[parent];
    const first = parent < 0 ? 0 : tree.firstChild[parent];
    const row = make(
      "div",
      {
        id: `tree-${node}`,
        class: node === this.#active ? "row active" : "row",
        role: "treeitem",
        "aria-level": tree.depths[node] + 1,
        "aria-setsize": siblings,
        "aria-posinset": node - first + 1,
        "aria-selected": node === this.#selected,
      },
      make("span", { class: "twist", "aria-hidden": "true" }),
      make("span", { class: tree.trained[node] ? "mark trained" : "mark" }),
      make("span", { class: "row-name" }, tree.names[node]),
    );
    if (tree.childCount[node]) {
      row.setAttribute("aria-expanded", String(this.#expanded.has(node)));
      row.append(make("span", { class: "row-count" }, tree.descendants[node].toLocaleString("en")));
    }
    row.dataset.node = String(node);
    row.style.top = `${at * ROW_HEIGHT}px`;
    row.style.setProperty("--depth", String(tree.depths[node]));
    return row;
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const row = /** @type {HTMLElement | null} */ (target.closest(".row"));
    if (!row) return;
    const node = Number(row.dataset.node);
    this.#active = node;
    if (target.classList.contains("twist")) this.#toggle(node, !this.#expanded.has(node));
    else this.#chosen(node);
  }

  /**
   * @param {number} node
   * @param {boolean} open
   */
  #toggle(node, open) {
    if (!this.#tree.childCount[node]) return;
    if (open) this.#expanded.add(node);
    else this.#expanded.delete(node);
    this.#layOut();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = Math.max(0, this.#shown.indexOf(this.#active));
    const page = Math.max(1, Math.floor(this.#place.clientHeight / ROW_HEIGHT) - 1);
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => this.#moveTo(at + 1),
      ArrowUp: () => this.#moveTo(at - 1),
      PageDown: () => this.#moveTo(at + page),
      PageUp: () => this.#moveTo(at - page),
      Home: () => this.#moveTo(0),
      End: () => this.#moveTo(this.#shown.length - 1),
      ArrowRight: () => this.#inward(at),
      ArrowLeft: () => this.#outward(),
      Enter: () => this.#chosen(this.#active),
      " ": () => this.#chosen(this.#active),
    };
    const act = keys[event.key] ?? (event.key.length === 1 ? () => this.#type(event.key, at) : undefined);
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** @param {number} at */
  #moveTo(at) {
    this.#active = this.#shown[Math.max(0, Math.min(at, this.#shown.length - 1))];
    this.#reveal();
    this.#render();
  }

  /** @param {number} at */
  #inward(at) {
    if (!this.#tree.childCount[this.#active]) return;
    if (this.#expanded.has(this.#active)) this.#moveTo(at + 1);
    else this.#toggle(this.#active, true);
  }

  #outward() {
    const parent = this.#tree.parents[this.#active];
    if (this.#expanded.has(this.#active)) this.#toggle(this.#active, false);
    else if (parent >= 0) this.#moveTo(this.#shown.indexOf(parent));
  }

  /**
   * Go to the next row whose name begins with what is typed.
   * @param {string} letter
   * @param {number} at
   */
  #type(letter, at) {
    const now = performance.now();
    this.#typed = now - this.#typedAt < TYPING_MILLISECONDS ? this.#typed + letter : letter;
    this.#typedAt = now;
    const wanted = this.#typed.toLowerCase();
    const from = at + (wanted.length === 1 ? 1 : 0);
    const order = [...this.#shown.slice(from), ...this.#shown.slice(0, from)];
    const match = order.find((node) => this.#tree.names[node].toLowerCase().startsWith(wanted));
    if (match !== undefined) this.#moveTo(this.#shown.indexOf(match));
  }

  #reveal() {
    const top = this.#shown.indexOf(this.#active) * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.#place;
    if (top < scrollTop) this.#place.scrollTop = top - ROW_HEIGHT;
    else if (top + 2 * ROW_HEIGHT > scrollTop + clientHeight) this.#place.scrollTop = top - clientHeight / 2;
  }
}
