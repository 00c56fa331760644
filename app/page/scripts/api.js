/**
 * Asking the service. Where it is full or not ready, the page waits as long as the service says, and asks again.
 *
 * Addresses are relative, so that the page works behind a proxy that gives it a path of its own.
 *
 * @typedef {import("./walk.js").Found} Found
 * @typedef {{ name: string, version: string, tree: string }} ModelIdentity
 * @typedef {{ image: { width: number, height: number }, detections: Found[], model: ModelIdentity,
 *   timing_ms: Record<string, number> }} DetectionResult
 *
 * @typedef {object} Patience
 * @property {AbortSignal} [signal] ends the request, and the waiting
 * @property {(seconds: number, reason: string) => void} [onWait] called each second of waiting, with what is left of it
 */

import { askForKey, keyHeaders } from "./key.js";
import { Tree } from "./tree.js";

const KEY_NEEDED = 401;
const FULL = 429;
const NOT_READY = 503;
const MOST_WAITS = 30;

/** What the service refused, in its own words (RFC 9457). */
export class ProblemError extends Error {
  /**
   * @param {string} title
   * @param {string} detail
   * @param {number} [status] 0 where the service cannot be reached
   */
  constructor(title, detail, status = 0) {
    super(detail);
    this.title = title;
    this.status = status;
    /** Whether the same request may be answered another time. */
    this.passing = status === 0 || status >= FULL;
  }
}

/**
 * Ask, with patience.
 * @param {string} address
 * @param {RequestInit} [options]
 * @param {Patience} [patience]
 * @returns {Promise<Response>} a good one
 * @throws {ProblemError} the service refused, or cannot be reached
 */
export async function ask(address, options = {}, { signal, onWait } = {}) {
  for (let waits = 0; ; waits += 1) {
    const headers = { ...options.headers, ...keyHeaders() };
    const response = await reach(address, { ...options, headers, signal });
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status === KEY_NEEDED && (await askForKey(problem.message))) continue;
    const worthWaiting = response.status === FULL || response.status === NOT_READY;
    if (!worthWaiting || waits >= MOST_WAITS) throw problem;
    const seconds = Math.max(1, Number(response.headers.get("Retry-After")) || 2);
    for (let left = seconds; left > 0; left -= 1) {
      onWait?.(left, problem.title);
      await second(signal);
    }
  }
}

/**
 * @param {string} address
 * @param {RequestInit} options
 */
async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ProblemError("No answer", "The service cannot be reached. Is it still running?");
  }
}

/** @param {Response} response */
async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return new ProblemError(
    body.title ?? `Error ${response.status}`,
    body.detail ?? "The service gave no reason that this page can read.",
    response.status,
  );
}

/** @param {AbortSignal} [signal] */
function second(signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000, undefined);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/**
 * Find the objects in a picture.
 * @param {Blob} picture
 * @param {URLSearchParams} parameters
 * @param {Patience} patience
 * @returns {Promise<DetectionResult>}
 */
export async function detect(picture, parameters, patience) {
  const response = await ask(`detect?${parameters}`, { method: "POST", body: form(picture) }, patience);
  return response.json();
}

/**
 * Have a picture that the browser cannot show, such as a TIFF, made into a JPEG: an annotated one without boxes.
 * @param {Blob} picture
 * @param {Patience} patience
 * @returns {Promise<Blob>}
 */
export async function asJpeg(picture, patience) {
  const options = { method: "POST", body: form(picture), headers: { Accept: "image/jpeg" } };
  return (await ask("detect?threshold=1", options, patience)).blob();
}

/** @param {Blob} picture */
function form(picture) {
  const data = new FormData();
  data.set("image", picture);
  return data;
}

/** @type {Map<string, Promise<any>>} */
const kept = new Map();

/**
 * Ask for something that does not change while the page is open; asked for once.
 * @param {string} address
 * @returns {Promise<any>}
 */
export function once(address) {
  let answer = kept.get(address);
  if (!answer) {
    answer = ask(address).then((response) => response.json());
    answer.catch(() => kept.delete(address));
    kept.set(address, answer);
  }
  return answer;
}

/** @type {Promise<Tree> | undefined} */
let tree;

/** @returns {Promise<Tree>} */
export function loadTree() {
  tree ??= once("tree").then((columns) => new Tree(columns));
  tree.catch(() => (tree = undefined));
  return tree;
}
