/** The API key of a service that wants one: asked for when it first refuses, and kept while the browser's tab is open. */

import { make } from "./dom.js";

const STORED = "yolo9000.key";

/** @type {Promise<boolean> | undefined} */
let asking;

/** @returns {Record<string, string>} the headers a request needs */
export function keyHeaders() {
  const key = sessionStorage.getItem(STORED);
  return key ? { "X-API-Key": key } : {};
}

/** @returns {string[]} the same for a WebSocket, which takes no headers */
export function keyProtocols() {
  const key = sessionStorage.getItem(STORED);
  // Of characters that a subprotocol cannot have no key of the service is made.
  return key && /^[\w.-]+$/.test(key) ? [`yolo9000.key.${key}`] : [];
}

/**
 * Ask the person for a key; requests that are refused at the same time share one question.
 * @param {string} refusal what the service said
 * @returns {Promise<boolean>} whether one was given
 */
export function askForKey(refusal) {
  asking ??= question(refusal).finally(() => (asking = undefined));
  return asking;
}

/**
 * @param {string} refusal
 * @returns {Promise<boolean>}
 */
function question(refusal) {
  const input = make("input", { id: "key", type: "password", autocomplete: "off", required: true });
  const cancel = make("button", { type: "button" }, "Cancel");
  const form = make(
    "form",
    { method: "dialog" },
    make("h2", { id: "key-title" }, "An API key is needed"),
    make("p", {}, refusal),
    make("p", {}, make("label", { htmlFor: "key" }, "Key "), input),
    make("p", { class: "actions" }, make("button", { class: "primary" }, "Use it"), cancel),
  );
  const dialog = make("dialog", { "aria-labelledby": "key-title" }, form);
  document.body.append(dialog);
  cancel.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", () => sessionStorage.setItem(STORED, input.value));
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      resolve(input.value !== "" && sessionStorage.getItem(STORED) === input.value);
      dialog.remove();
    }),
  );
}
