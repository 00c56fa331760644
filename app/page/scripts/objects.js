/** The list of objects, and for the selected one its path from the root with a probability bar at each level. */

import { called, hesitation } from "./captions.js";
import { make } from "./dom.js";
import { css } from "./tree.js";

/**
 * @typedef {import("./walk.js").Answer} Answer
 * @typedef {import("./tree.js").Tree} Tree
 */

export class Objects {
  #list;
  #chosen;
  /** @type {Map<number, HTMLLIElement>} by the candidate's id */
  #items = new Map();

  /**
   * @param {HTMLElement} list
   * @param {(id: number) => void} chosen called when an object is selected in the list
   */
  constructor(list, chosen) {
    this.#list = list;
    this.#chosen = chosen;
  }

  clear() {
    this.#items.clear();
    this.#list.replaceChildren();
  }

  /**
   * Show these answers and no others, in their order.
   * @param {Answer[]} answers
   * @param {Tree} tree
   * @param {number} hierarchy the threshold that ended the paths
   * @param {number} selected id of the selected candidate
   */
  show(answers, tree, hierarchy, selected) {
    const items = answers.map((found) => {
      const { id } = found.candidate;
      const item = this.#items.get(id) ?? this.#make(id);
      update(item, found, tree, id === selected);
      let levels = /** @type {HTMLElement | null} */ (item.querySelector(".levels"));
      const path = found.candidate.nodes.join();
      if (levels && (id !== selected || levels.dataset.path !== path)) {
        levels.remove();
        levels = null;
      }
      if (id === selected) {
        levels ??= item.appendChild(makeLevels(found, tree));
        levels.dataset.path = path;
        fill(levels, found, hierarchy);
      }
      return item;
    });
    this.#items = new Map(items.map((item) => [Number(item.dataset.id), item]));
    const inPlace =
      items.length === this.#list.children.length && items.every((item, at) => this.#list.children[at] === item);
    if (inPlace) return;
    // An element that is moved loses the focus.
    const focused = document.activeElement;
    this.#list.replaceChildren(...items);
    if (focused instanceof HTMLElement && this.#list.contains(focused)) focused.focus({ preventScroll: true });
  }

  /**
   * Scroll to an object: within the list, or with the whole page if it was asked for by a press.
   * @param {number} id
   * @param {boolean} pressed
   */
  reveal(id, pressed) {
    const item = this.#items.get(id);
    if (!item) return;
    if (pressed) item.scrollIntoView({ block: "nearest" });
    else this.#list.scrollTop += item.getBoundingClientRect().top - this.#list.getBoundingClientRect().top;
  }

  /** @param {number} id */
  #make(id) {
    const button = make(
      "button",
      { type: "button", class: "object" },
      make("span", { class: "swatch", "aria-hidden": "true" }),
      make("span", { class: "object-name" }, make("span", {}), make("span", { class: "small muted" })),
      make("span", { class: "score" }),
    );
    button.addEventListener("click", () => this.#chosen(id));
    const item = make("li", {}, button);
    item.dataset.id = String(id);
    return item;
  }
}

/**
 * @param {HTMLLIElement} item
 * @param {Answer} found
 * @param {Tree} tree
 * @param {boolean} selected
 */
function update(item, found, tree, selected) {
  const button = /** @type {HTMLElement} */ (item.firstElementChild);
  const [swatch, name, score] = /** @type {HTMLElement[]} */ ([...button.children]);
  button.setAttribute("aria-expanded", String(selected));
  swatch.style.background = css(tree.colour(found.node));
  const others = hesitation(found, tree);
  name.children[0].textContent = called(found, tree);
  name.children[1].textContent = others ? `: ${others}` : "";
  name.title = others ? "Below the label it hesitates between these, with their probabilities" : "";
  score.textContent = found.score.toFixed(2);
  score.title = "score: objectness times the label's probability";
}

/**
 * @param {Answer} found
 * @param {Tree} tree
 */
function makeLevels({ candidate: { nodes } }, tree) {
  const levels = nodes.map((node) => {
    const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("span", { class: "bar-filled" }));
    bar.style.setProperty("--colour", css(tree.colour(node)));
    const level = make(
      "li",
      {},
      make("a", { href: `#${tree.wnids[node]}`, title: "Show in the tree of concepts" }, tree.names[node]),
      bar,
      make("span", { class: "probability" }),
    );
    if (tree.unproven[node]) {
      level.title = "No sibling of this concept was trained: it has its parent's probability, and no answer ends here.";
    }
    return level;
  });
  const list = make("ol", { "aria-label": "Path from the root" }, ...levels);
  return make("div", { class: "levels" }, list, make("p", { class: "small muted" }));
}

/**
 * Write the probabilities, and tell the part of the path that stands from the rest, and the label.
 * @param {HTMLElement} levels
 * @param {Answer} found
 * @param {number} hierarchy
 */
function fill(levels, found, hierarchy) {
  const { probabilities, objectness } = found.candidate;
  levels.style.setProperty("--threshold", `${100 * hierarchy}%`);
  const [list, box] = levels.children;
  box.textContent = `The box itself: objectness ${objectness.toFixed(2)}`;
  for (const [depth, level] of [...list.children].entries()) {
    const [, bar, probability] = /** @type {HTMLElement[]} */ ([...level.children]);
    bar.style.setProperty("--value", `${100 * probabilities[depth]}%`);
    probability.textContent = probabilities[depth].toFixed(2);
    level.classList.toggle("beyond", depth >= found.length);
    if (depth === found.length - 1) level.setAttribute("aria-current", "true");
    else level.removeAttribute("aria-current");
  }
}
