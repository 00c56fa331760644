/** What is shown, to take away: as the service's JSON, as the command that asks for it, and as a picture. */

import { captions } from "./captions.js";
import { css, readableOn } from "./tree.js";

/**
 * @typedef {import("./api.js").DetectionResult} DetectionResult
 * @typedef {import("./walk.js").Answer} Answer
 * @typedef {import("./walk.js").Thresholds} Thresholds
 * @typedef {import("./tree.js").Tree} Tree
 */

/** Browsers refuse larger canvases; those of phones have the lowest limit. */
const MOST_CANVAS_PIXELS = 16_000_000;

/**
 * The parameters of POST /detect that give what is shown.
 * @param {Thresholds} thresholds
 * @param {string[]} under wnids
 */
export function parameters(thresholds, under) {
  const query = new URLSearchParams({
    threshold: String(thresholds.objectness),
    hierarchy_threshold: String(thresholds.hierarchy),
    iou_threshold: String(thresholds.iou),
    max_detections: String(thresholds.most),
  });
  for (const wnid of under) query.append("under", wnid);
  return query;
}

/**
 * The curl command that gives what is shown, for a POSIX shell.
 * @param {string} name the picture's file name
 * @param {URLSearchParams} query
 */
export function curl(name, query) {
  const address = new URL(`detect?${query}`, document.baseURI);
  // Within the form's argument, curl reads a quoted file name.
  const field = `image=@"${name.replace(/["\\]/g, "\\$&")}"`;
  return `curl -F ${quoted(field)} ${quoted(address.href)}`;
}

/** @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * What is shown, as the service would answer it.
 * @param {DetectionResult} result what the service did answer
 * @param {Answer[]} answers
 * @returns {DetectionResult}
 */
export function shown(result, answers) {
  const detections = answers.map(({ candidate, length, score }) => {
    const { path, ...found } = result.detections[candidate.id];
    const { wnid, name, alternatives = [] } = path[length - 1];
    const steps = path.slice(0, length).map(({ alternatives: _, ...step }) => step);
    return { ...found, label: { wnid, name }, score: shortest(score), path: steps, alternatives };
  });
  return { ...result, detections };
}

/**
 * The shortest decimal that reads back as the same float32, as the service writes numbers.
 * @param {number} value a float32
 */
export function shortest(value) {
  for (let digits = 1; digits < 9; digits += 1) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === value) return candidate;
  }
  return Number(value.toPrecision(9));
}

/**
 * Draw the answers into the picture, at its full size where the browser can.
 * @param {HTMLImageElement} photo
 * @param {Answer[]} answers
 * @param {Tree} tree
 * @returns {Promise<Blob>} a JPEG
 */
export async function annotated(photo, answers, tree) {
  const { naturalWidth, naturalHeight } = photo;
  const scale = Math.min(1, Math.sqrt(MOST_CANVAS_PIXELS / (naturalWidth * naturalHeight)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(naturalWidth * scale);
  canvas.height = Math.round(naturalHeight * scale);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("The browser gives no canvas.");
  context.drawImage(photo, 0, 0, canvas.width, canvas.height);
  const text = Math.max(10, Math.round(Math.sqrt(canvas.width * canvas.height) / 36));
  context.font = `600 ${text}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.lineWidth = Math.max(1, Math.round(text / 6));
  // The best last, so that nothing covers it.
  for (const found of [...answers].reverse()) draw(context, found, tree, scale, text);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large."))), "image/jpeg", 0.9),
  );
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Answer} found
 * @param {Tree} tree
 * @param {number} scale
 * @param {number} text height of the text in pixels
 */
function draw(context, found, tree, scale, text) {
  const { box } = found.candidate;
  const colour = tree.colour(found.node);
  const texts = captions(found, tree);
  const room = context.canvas.width - 0.6 * text;
  const label = texts.find((one) => context.measureText(one).width <= room) ?? texts[texts.length - 1];
  const [x1, y1, x2, y2] = [box.x1, box.y1, box.x2, box.y2].map((edge) => edge * scale);
  context.strokeStyle = css(colour);
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  const width = context.measureText(label).width + 0.6 * text;
  const height = 1.4 * text;
  const left = Math.max(0, Math.min(x1, context.canvas.width - width));
  const top = y1 >= height ? y1 - height : y1;
  context.fillStyle = css(colour);
  context.fillRect(left, top, width, height);
  context.fillStyle = readableOn(colour);
  context.fillText(label, left + 0.3 * text, top + height / 2);
}
