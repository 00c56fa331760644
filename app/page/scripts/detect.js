/**
 * The view of one photo: it asks the service once, and answers every move of the sliders by itself. The camera's live
 * picture takes the photo's place, and the service answers each of its frames.
 */

import { asJpeg, detect, loadTree, once, ProblemError } from "./api.js";
import { byId, copy, make, save } from "./dom.js";
import { followed, Live } from "./live.js";
import { annotated, curl, parameters, shown } from "./report.js";
import { Sliders } from "./sliders.js";
import { setUpSources } from "./source.js";
import { Stage } from "./stage.js";
import { answer, candidates } from "./walk.js";

/**
 * @typedef {import("./api.js").DetectionResult} DetectionResult
 * @typedef {import("./tree.js").Tree} Tree
 * @typedef {import("./walk.js").Answer} Answer
 * @typedef {import("./walk.js").Candidate} Candidate
 *
 * @typedef {object} Look what the service found in a photo, before any slider
 * @property {DetectionResult} result
 * @property {Candidate[]} all
 * @property {Set<number>} under places of the concepts it was restricted to
 * @property {Tree} tree
 */

/** The least objectness the service is asked for, and so the least that the slider goes down to. */
const LEAST_OBJECTNESS = 0.05;
/** As many as the service gives in one answer. */
const MOST_CANDIDATES = 300;
/** As many as the service gives where a request does not say. */
const MOST_ANSWERS = 100;

const photo = /** @type {HTMLImageElement} */ (byId("photo"));
/** @type {{ blob: Blob, name: string, url: string } | undefined} */
let given;
/** @type {Look | undefined} */
let look;
/** @type {string[]} wnids */
let under = [];
let redrawing = false;
let running = new AbortController();

const sliders = new Sliders(byId("sliders"), redraw);
const stage = new Stage();
const live = new Live({
  parameters: () => parameters({ ...sliders.values, most: MOST_ANSWERS }, under),
  show: async (answer) => {
    const tree = await loadTree();
    const { hierarchy } = sliders.values;
    if (live.on) stage.present({ answers: followed(answer, tree), tree, image: answer.image, hierarchy });
  },
  say: (text) => stage.say(text),
  complain: (title, detail, again) => {
    stage.turn("photo");
    stage.complain(title, detail, again);
  },
  taken: (photo) => show(photo, photo.name),
});

/** Make the view work. */
export function setUpDetect() {
  setUpSources(show, (text) => stage.complain("Not a photo", text), showLive);
  byId("live-stop").addEventListener("click", stopLive);
  const saves = /** @type {[string, () => Promise<void>][]} */ ([
    ["save-picture", savePicture],
    ["save-json", saveJson],
    ["copy-curl", () => copy(byId("copy-curl"), byId("curl").textContent ?? "")],
  ]);
  for (const [id, act] of saves) {
    byId(id).addEventListener("click", () => act().catch((error) => stage.complain("Not saved", error.message)));
  }
  once("model").then(
    ({ thresholds, tree }) => {
      if (!look) sliders.set(thresholds);
      byId("tree-size").textContent = tree.nodes.toLocaleString("en");
    },
    () => sliders.set(sliders.values),
  );
  // Ready by the time a photo is; if it fails, the photo's own request tells.
  loadTree().catch(() => undefined);
}

/**
 * Restrict answers to some concepts and what lies below them.
 * @param {string[]} wnids none for no restriction
 */
export async function restrict(wnids) {
  under = wnids;
  await showScope();
  if (live.on) live.changed();
  else if (given) await askService();
}

/**
 * Show a photo and what is in it.
 * @param {Blob} blob
 * @param {string} name
 */
async function show(blob, name) {
  live.stop();
  if (given) URL.revokeObjectURL(given.url);
  given = { blob, name, url: URL.createObjectURL(blob) };
  stage.open("photo");
  photo.alt = `The photo: ${name}`;
  await askService();
}

/** Show the camera, and what is in it. */
async function showLive() {
  running.abort();
  forget();
  stage.open("live");
  stage.idle();
  sliders.limitObjectness(LEAST_OBJECTNESS);
  try {
    const [model] = await Promise.all([once("model"), loadTree()]);
    await live.start(model);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    stage.turn("photo");
    stage.complain(error.title, error.message, showLive);
  }
}

/** Let go of the camera where another view is shown. */
export function leave() {
  if (live.on) stopLive();
}

/** Go back to the photo from before, or to the beginning. */
async function stopLive() {
  live.stop();
  stage.turn("photo");
  forget();
  if (given) await askService();
  else stage.close();
}

async function askService() {
  if (!given) return;
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const { blob } = given;
  forget();
  stage.busy("Looking …");
  const patience = {
    signal,
    /** @type {(seconds: number, reason: string) => void} */
    onWait: (seconds, reason) => stage.busy(`${reason}: asking again in ${seconds} s`, `${reason}: waiting`),
  };
  try {
    await display(blob, patience);
    const [tree, result] = await Promise.all([loadTree(), askForAll(blob, patience)]);
    if (signal.aborted) return;
    const places = new Set(under.map((wnid) => tree.index(wnid)));
    look = { result, tree, under: places, all: candidates(result.detections, tree) };
    byId("saving").hidden = false;
    draw();
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof ProblemError)) throw error;
    stage.complain(error.title, error.message, error.passing ? askService : undefined);
  } finally {
    if (!signal.aborted) stage.idle();
  }
}

/**
 * Ask for every box with its whole path, and what it hesitates between at each step. An answer as long as the service
 * gives may lack some: then only surer boxes are asked for, so that what is at hand is complete.
 * @param {Blob} blob
 * @param {import("./api.js").Patience} patience
 */
async function askForAll(blob, patience) {
  for (let objectness = LEAST_OBJECTNESS; ; objectness = Math.min(1, 2 * objectness)) {
    const query = parameters({ objectness, hierarchy: 0, iou: 1, most: MOST_CANDIDATES }, under);
    query.set("alternatives", "path");
    const result = await detect(blob, query, patience);
    if (result.detections.length < MOST_CANDIDATES || objectness === 1) {
      sliders.limitObjectness(objectness);
      return result;
    }
  }
}

/**
 * Show the photo, or a JPEG of it where the browser does not know its format.
 * @param {Blob} blob
 * @param {import("./api.js").Patience} patience
 */
async function display(blob, patience) {
  if (!given) return;
  photo.src = given.url;
  try {
    await photo.decode();
  } catch {
    if (patience.signal?.aborted) return;
    const shownInstead = await asJpeg(blob, patience);
    URL.revokeObjectURL(given.url);
    given.url = URL.createObjectURL(shownInstead);
    photo.src = given.url;
    await photo.decode().catch(() => undefined);
  }
  photo.style.setProperty("--width", `${photo.naturalWidth}px`);
  photo.style.setProperty("--aspect", String(photo.naturalWidth / photo.naturalHeight));
}

/** Answer the sliders, once a frame at most. */
function redraw() {
  if (redrawing) return;
  redrawing = true;
  requestAnimationFrame(() => {
    redrawing = false;
    if (live.on) live.changed();
    else draw();
  });
}

function draw() {
  if (!look || !given) return;
  const { result, all, tree } = look;
  const thresholds = { ...sliders.values, most: MOST_ANSWERS };
  const answers = answer(all, thresholds, tree, look.under);
  stage.present({ answers, tree, image: result.image, hierarchy: thresholds.hierarchy });
  const count = `${answers.length} ${answers.length === 1 ? "object" : "objects"}`;
  const milliseconds = Object.values(result.timing_ms).reduce((sum, part) => sum + part, 0);
  stage.say(`${count} · ${result.image.width} × ${result.image.height} px · ${Math.round(milliseconds)} ms`);
  byId("nothing").hidden = answers.length > 0;
  byId("nothing").textContent = all.length
    ? "No box is sure enough. Lower the objectness to see what was passed over."
    : "Nothing was found in this photo.";
  byId("curl").textContent = curl(given.name, parameters(thresholds, under));
}

/** Forget what was found before. */
function forget() {
  look = undefined;
  stage.clear();
}

async function showScope() {
  const scope = byId("scope");
  scope.hidden = !under.length;
  if (!under.length) return;
  const tree = await loadTree();
  const names = under.map((wnid) => make("a", { href: `#${wnid}` }, tree.names[tree.index(wnid)] ?? wnid));
  const everything = make("button", { type: "button" }, "Look for everything");
  everything.addEventListener("click", () => restrict([]));
  scope.replaceChildren(make("span", {}, "Looking only for ", ...names), everything);
}

async function savePicture() {
  const now = stage.shown;
  if (now) save(await annotated(photo, now.answers, now.tree), `${stem()}-annotated.jpg`);
}

async function saveJson() {
  if (!look || !stage.shown) return;
  const text = JSON.stringify(shown(look.result, stage.shown.answers), null, 2);
  save(new Blob([text], { type: "application/json" }), `${stem()}.json`);
}

const stem = () => (given?.name ?? "photo").replace(/\.[^.]*$/, "");
