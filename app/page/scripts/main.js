/** Starts the page: which view is shown follows the address, light or dark follows the person. */

import { leave, restrict, setUpDetect } from "./detect.js";
import { byId } from "./dom.js";
import { setUpTheme } from "./theme.js";

const VIEWS = ["detect", "explore", "model"];
const WNID = /^n\d+$/;

/** The view and the concept that an address names: `#model`, `#explore`, `#n02084071`; anything else is detection. */
function route() {
  const name = location.hash.slice(1);
  if (WNID.test(name)) return { view: "explore", wnid: name };
  return { view: VIEWS.includes(name) ? name : "detect", wnid: "" };
}

async function follow() {
  const { view, wnid } = route();
  const changed = document.body.dataset.view !== view;
  document.body.dataset.view = view;
  for (const name of VIEWS) byId(`view-${name}`).hidden = name !== view;
  for (const link of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-view]"))) {
    if (link.tagName === "A" && link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = byId(`${view}-title`);
  document.title = view === "detect" ? "yolo9000" : `${title.textContent} · yolo9000`;
  if (changed && started) (title.offsetParent ? title : byId("main")).focus({ preventScroll: true });
  if (changed) scrollTo(0, 0);
  if (view !== "detect") leave();
  if (view === "explore") (await import("./explore.js")).showExplorer(wnid, restrictTo);
  if (view === "model") (await import("./model.js")).showModel();
}

/** @param {string} wnid */
function restrictTo(wnid) {
  location.hash = "#detect";
  restrict([wnid]);
}

let started = false;
setUpTheme(/** @type {HTMLButtonElement} */ (byId("theme")));
setUpDetect();
addEventListener("hashchange", follow);
await follow();
started = true;
