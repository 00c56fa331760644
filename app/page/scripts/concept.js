/** What is known of one concept, and what can be done with it. */

import { once } from "./api.js";
import { copy, make } from "./dom.js";
import { css } from "./tree.js";

/**
 * @typedef {import("./tree.js").Tree} Tree
 * @typedef {{ wnid: string, name: string }} Concept
 * @typedef {{ wnid: string, name: string, synonyms: string[], definition: string, depth: number, descendants: number,
 *   trained: boolean, answered_by: Concept | null, path: Concept[], children: (Concept & { trained: boolean })[] }} Detail the answer of GET /classes/{wnid}
 */

/** The largest sibling group of the published tree has 149. */
const MOST_CHILDREN = 40;

export class ConceptPanel {
  #place;
  #tree;
  #restrict;
  #wanted = -1;

  /**
   * @param {HTMLElement} place
   * @param {Tree | undefined} tree
   * @param {(wnid: string) => void} restrict
   */
  constructor(place, tree, restrict) {
    this.#place = place;
    this.#tree = tree;
    this.#restrict = restrict;
  }

  /**
   * @param {string} title
   * @param {string} detail
   */
  complain(title, detail) {
    this.#place.replaceChildren(make("div", { class: "problem" }, make("strong", {}, title), make("p", {}, detail)));
  }

  /** @param {number} node -1 for an invitation to choose one */
  async show(node) {
    this.#wanted = node;
    if (node < 0 || !this.#tree) {
      this.#invite();
      return;
    }
    try {
      /** @type {Detail} */
      const detail = await once(`classes/${this.#tree.wnids[node]}`);
      if (this.#wanted === node) this.#describe(detail, node, this.#tree);
    } catch (error) {
      if (this.#wanted === node && error instanceof Error) this.complain("No answer", error.message);
    }
  }

  #invite() {
    const tree = this.#tree;
    if (!tree) return;
    const trained = tree.trained.reduce((sum, one) => sum + one, 0);
    this.#place.replaceChildren(
      make("h2", {}, `${tree.size.toLocaleString("en")} concepts of WordNet`),
      make(
        "p",
        { class: "muted" },
        `Choose one to see what it means and where it stands. The model answers with ${trained.toLocaleString("en")} of them: ` +
          "those it had pictures or boxes of, at or beneath them.",
      ),
    );
  }

  /**
   * @param {Detail} detail
   * @param {number} node
   * @param {Tree} tree
   */
  #describe(detail, node, tree) {
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = css(tree.colour(node));
    const synonyms = detail.synonyms.length ? `also ${detail.synonyms.join(", ")}` : "";
    this.#place.replaceChildren(
      make("h2", {}, swatch, detail.name, make("code", {}, detail.wnid)),
      ...(synonyms ? [make("p", { class: "muted" }, synonyms)] : []),
      make("p", { class: "definition" }, detail.definition),
      path(detail),
      facts(detail),
      this.#actions(detail),
      ...children(detail),
    );
  }

  /** @param {Detail} detail */
  #actions({ wnid, trained }) {
    const restrict = make("button", { type: "button", class: "primary", disabled: !trained }, "Detect only this");
    restrict.addEventListener("click", () => this.#restrict(wnid));
    const link = make("button", { type: "button" }, "Copy link");
    link.addEventListener("click", () => copy(link, new URL(`#${wnid}`, document.baseURI).href));
    return make("p", { class: "actions" }, restrict, link);
  }
}

/** @param {Detail} detail */
function path(detail) {
  const steps = detail.path.map(({ wnid, name }, depth) => {
    if (depth === detail.path.length - 1) return make("li", { "aria-current": "true" }, name);
    return make("li", {}, make("a", { href: `#${wnid}` }, name));
  });
  return make("nav", { class: "path", "aria-label": "Path from the root" }, make("ol", {}, ...steps));
}

/** @param {Detail} detail */
function facts({ wnid, depth, children: below, descendants, trained, answered_by: answer }) {
  /** @type {[string, string | HTMLElement][]} */
  const rows = [
    ["Steps from the root", String(depth)],
    ["Directly below", below.length.toLocaleString("en")],
    ["Below at any depth", descendants.toLocaleString("en")],
    ["Model", trained ? "trained on it" : "not trained on it"],
  ];
  if (!answer) rows.push(["Answered as", "nothing"]);
  else if (answer.wnid !== wnid) rows.push(["Answered as", make("a", { href: `#${answer.wnid}` }, answer.name)]);
  return make("dl", {}, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/** @param {Detail} detail */
function children({ children: below }) {
  if (!below.length) return [];
  const items = below
    .slice(0, MOST_CHILDREN)
    .map(({ wnid, name, trained }) =>
      make("li", {}, make("a", { href: `#${wnid}`, class: trained ? "chip" : "chip untrained" }, name)),
    );
  const rest = below.length - items.length;
  if (rest > 0) items.push(make("li", { class: "muted small" }, `and ${rest} more in the tree`));
  return [make("h3", {}, "Directly below"), make("ul", { class: "chips" }, ...items)];
}
