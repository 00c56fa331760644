/** Searching concepts as they are typed, by the service's own order: the best match first. */

import { ask, ProblemError } from "./api.js";
import { byId, make } from "./dom.js";

/**
 * @typedef {import("./tree.js").Tree} Tree
 * @typedef {{ wnid: string, name: string, synonyms: string[], trained: boolean }} Summary
 */

const MOST = 100;
const PAUSE_MILLISECONDS = 120;

/**
 * @param {Tree} tree
 * @param {import("./tree_view.js").TreeView} view what is hidden while there is something found
 */
export function setUpSearch(tree, view) {
  const input = /** @type {HTMLInputElement} */ (byId("search"));
  const list = byId("found");
  const count = byId("search-count");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let running = new AbortController();

  const search = async () => {
    running.abort();
    running = new AbortController();
    const { signal } = running;
    const query = input.value.trim();
    view.hidden = query !== "";
    list.hidden = query === "";
    if (!query) {
      count.textContent = "";
      return;
    }
    try {
      const response = await ask(`classes?${new URLSearchParams({ query, limit: String(MOST) })}`, {}, { signal });
      const { total, items } = await response.json();
      list.replaceChildren(.../** @type {Summary[]} */ (items).map((item) => entry(item, tree)));
      count.textContent = said(total, query);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ProblemError)) throw error;
      list.replaceChildren();
      count.textContent = error.message;
    }
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE_MILLISECONDS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") move(event, list.querySelector("a"));
    if (event.key === "Escape" && input.value) {
      event.preventDefault();
      input.value = "";
      search();
    }
  });
  list.addEventListener("keydown", (event) => {
    const item = document.activeElement?.closest("li");
    if (event.key === "ArrowDown") move(event, item?.nextElementSibling?.querySelector("a"));
    if (event.key === "ArrowUp") move(event, item?.previousElementSibling?.querySelector("a") ?? input);
    if (event.key === "Escape") move(event, input);
  });
  if (input.value) search(); // typed while the tree was on its way, or kept by the browser on a reload
}

/**
 * @param {KeyboardEvent} event
 * @param {HTMLElement | null | undefined} target
 */
function move(event, target) {
  if (!target) return;
  event.preventDefault();
  target.focus();
}

/**
 * @param {Summary} item
 * @param {Tree} tree
 */
function entry({ wnid, name, synonyms, trained }, tree) {
  const parent = tree.parents[tree.index(wnid)];
  const mark = make("span", { class: trained ? "mark trained" : "mark", "aria-hidden": "true" });
  const words = make("span", { class: "found-name" }, name);
  if (synonyms.length) words.append(make("span", { class: "muted" }, `, ${synonyms.join(", ")}`));
  const place = make("span", { class: "muted small" }, parent < 0 ? "a root" : `a kind of ${tree.names[parent]}`);
  return make("li", {}, make("a", { href: `#${wnid}` }, mark, words, place));
}

/**
 * @param {number} total
 * @param {string} query
 */
function said(total, query) {
  if (!total) return `No concept is called “${query}”.`;
  const found = `${total.toLocaleString("en")} ${total === 1 ? "concept" : "concepts"}`;
  return total > MOST ? `${found}; the best ${MOST}` : found;
}
