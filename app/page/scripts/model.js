/** The model card: what GET /model tells, whatever it tells. Training and evaluation are free in form. */

import { loadTree, once } from "./api.js";
import { byId, make } from "./dom.js";

/**
 * @typedef {import("./tree.js").Tree} Tree
 * @typedef {{ [name: string]: Value }} Fields
 * @typedef {string | number | boolean | null | Value[] | { [name: string]: any }} Value
 */

let shown = false;

/** Show the model card; asked for once. */
export async function showModel() {
  if (shown) return;
  const place = byId("model-card");
  try {
    const [model, tree] = await Promise.all([once("model"), loadTree()]);
    place.replaceChildren(...card(model, tree));
    shown = true;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    place.replaceChildren(
      make("div", { class: "problem", role: "alert" }, make("strong", {}, "No answer"), make("p", {}, detail)),
    );
  }
}

/**
 * @param {any} model
 * @param {Tree} tree
 */
function card(model, tree) {
  const {
    evaluation,
    training,
    thresholds,
    preprocessing,
    tree: summary,
    name,
    version,
    licence,
    providers,
    ...rest
  } = model;
  const lead = make(
    "p",
    { class: "lead" },
    `${name} ${version} knows ${summary.trained.toLocaleString("en")} of the tree's ${summary.nodes.toLocaleString("en")} concepts. `,
    `Licence: ${licence}. It runs on ${providers.join(", ")}.`,
  );
  const sections = /** @type {[string, Value][]} */ ([
    ["What it scored", evaluation],
    ["How it was trained", training],
    ["Thresholds where a request names none", thresholds],
    ["The tree", summary],
    ["Input", { ...rest, ...preprocessing }],
  ]);
  const cards = sections
    .filter(([, value]) => Object.keys(value ?? {}).length)
    .map(([title, value]) => make("section", { class: "card" }, make("h2", {}, title), describe(value, tree)));
  return [lead, make("div", { class: "model-cards" }, ...cards)];
}

/**
 * Show any value: records of numbers as a table, other fields as a list of terms.
 * @param {Value} value
 * @param {Tree} tree
 * @returns {HTMLElement}
 */
function describe(value, tree) {
  if (!isFields(value)) return make("span", {}, text(value, tree));
  const entries = Object.entries(value);
  if (entries.length && entries.every(([key, one]) => tree.index(key) >= 0 && typeof one === "number")) {
    return ranking(/** @type {[string, number][]} */ (entries), tree);
  }
  const alike = entries.length > 1 && entries.every(([, one]) => isFields(one));
  if (alike) return comparison(/** @type {[string, Fields][]} */ (entries), tree);
  return terms(entries, tree);
}

/**
 * @param {[string, Value][]} entries
 * @param {Tree} tree
 */
function terms(entries, tree) {
  const rows = entries.map(([key, one]) =>
    make(
      "div",
      {},
      make("dt", {}, words(key)),
      make("dd", {}, isFields(one) || isRecords(one) ? nested(one, tree) : text(one, tree)),
    ),
  );
  return make("dl", { class: "terms" }, ...rows);
}

/**
 * @param {Value} value
 * @param {Tree} tree
 */
function nested(value, tree) {
  return isRecords(value)
    ? table(
        value.map((one, at) => [String(at + 1), one]),
        tree,
      )
    : describe(value, tree);
}

/**
 * Several records with the same fields: their plain values side by side, the rest folded away beneath.
 * @param {[string, Fields][]} records
 * @param {Tree} tree
 */
function comparison(records, tree) {
  /** @type {HTMLElement[]} */
  const parts = [table(records, tree)];
  for (const [name, fields] of records) {
    for (const [key, value] of Object.entries(fields)) {
      if (!isFields(value) && !isRecords(value)) continue;
      parts.push(make("details", {}, make("summary", {}, `${name}: ${words(key)}`), nested(value, tree)));
    }
  }
  return make("div", { class: "comparison" }, ...parts);
}

/**
 * @param {[string, Fields][]} records
 * @param {Tree} tree
 */
function table(records, tree) {
  const columns = [...new Set(records.flatMap(([, fields]) => Object.keys(fields)))].filter((column) =>
    records.some(
      ([, fields]) => fields[column] !== undefined && !isFields(fields[column]) && !isRecords(fields[column]),
    ),
  );
  const head = make("tr", {}, make("td", {}), ...columns.map((column) => make("th", { scope: "col" }, words(column))));
  const rows = records.map(([name, fields]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, name),
      ...columns.map((column) => make("td", {}, text(fields[column] ?? "", tree))),
    ),
  );
  const region = { class: "scroll", tabIndex: 0, role: "group", "aria-label": "Table" };
  return make("div", region, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

/**
 * Numbers by concept, the highest first.
 * @param {[string, number][]} entries
 * @param {Tree} tree
 */
function ranking(entries, tree) {
  const rows = entries
    .sort(([, one], [, other]) => other - one)
    .map(([wnid, value]) => {
      const name = make("a", { href: `#${wnid}` }, tree.names[tree.index(wnid)]);
      return make("li", {}, name, make("span", { class: "number" }, number(value)));
    });
  return make("ul", { class: "ranking", tabIndex: 0 }, ...rows);
}

/**
 * @param {Value} value
 * @returns {value is Fields}
 */
const isFields = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * @param {Value} value
 * @returns {value is Fields[]}
 */
const isRecords = (value) => Array.isArray(value) && value.length > 0 && value.every(isFields);

/**
 * @param {Value} value
 * @param {Tree} tree
 * @returns {string}
 */
function text(value, tree) {
  if (typeof value === "number") return number(value);
  if (Array.isArray(value)) {
    const separator = value.some(Array.isArray) ? "; " : ", ";
    return value.map((one) => (Array.isArray(one) ? one.join(" × ") : text(one, tree))).join(separator);
  }
  if (value === null) return "none";
  return String(value);
}

/** @param {number} value */
const number = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(3))));

/** @param {string} key */
const words = (key) => key.replaceAll("_", " ");
