/** The view of the tree: search, the tree as text, the tree as rings, and the concept that is selected in all of them. */

import { loadTree } from "./api.js";
import { ConceptPanel } from "./concept.js";
import { byId } from "./dom.js";
import { setUpSearch } from "./search.js";
import { Sunburst } from "./sunburst.js";
import { TreeView } from "./tree_view.js";

/** @typedef {import("./tree.js").Tree} Tree */

/** @type {Promise<{ tree: Tree, view: TreeView, rings: Sunburst, panel: ConceptPanel }> | undefined} */
let parts;

/**
 * Show the explorer, at a concept if one is named.
 * @param {string} wnid "" for none
 * @param {(wnid: string) => void} restrict called when detection is to be restricted to a concept
 */
export async function showExplorer(wnid, restrict) {
  parts ??= build(restrict);
  try {
    const { tree, view, rings, panel } = await parts;
    rings.resize();
    const node = wnid ? tree.index(wnid) : -1;
    if (wnid && node < 0) {
      panel.complain("No such concept", `The tree of this model holds no ${wnid}.`);
      return;
    }
    view.select(node);
    rings.select(node);
    await panel.show(node);
  } catch (error) {
    parts = undefined;
    const detail = error instanceof Error ? error.message : String(error);
    new ConceptPanel(byId("concept"), undefined, restrict).complain("The tree cannot be loaded", detail);
  }
}

/** @param {(wnid: string) => void} restrict */
async function build(restrict) {
  const tree = await loadTree();
  /** @param {number} node */
  const go = (node) => {
    location.hash = node < 0 ? "#explore" : `#${tree.wnids[node]}`;
  };
  const view = new TreeView(byId("tree"), tree, go);
  const canvas = /** @type {HTMLCanvasElement} */ (byId("sunburst"));
  const rings = new Sunburst(canvas, byId("sunburst-caption"), tree, go);
  const panel = new ConceptPanel(byId("concept"), tree, restrict);
  setUpSearch(tree, view);
  return { tree, view, rings, panel };
}
