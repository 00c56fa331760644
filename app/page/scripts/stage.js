/** What the view of a photo and the live view share: the picture with its boxes, the list of objects, and what is said. */

import { Boxes } from "./boxes.js";
import { byId, make } from "./dom.js";
import { Objects } from "./objects.js";

/**
 * @typedef {import("./tree.js").Tree} Tree
 * @typedef {import("./walk.js").Answer} Answer
 *
 * @typedef {object} Shown
 * @property {Answer[]} answers
 * @property {Tree} tree
 * @property {{ width: number, height: number }} image
 * @property {number} hierarchy the threshold that ended the paths
 */

export class Stage {
  #photo = /** @type {HTMLImageElement} */ (byId("photo"));
  #problem = byId("problem");
  #waiting = byId("waiting");
  #boxes = new Boxes(byId("boxes"), (id, pressed) => {
    this.#select(id);
    this.#objects.reveal(id, pressed);
  });
  #objects = new Objects(byId("objects"), (id) => this.#select(id === this.#selected ? -1 : id));
  #selected = -1;
  /** @type {Shown | undefined} */
  #shown;

  /** @returns {Shown | undefined} what is shown now */
  get shown() {
    return this.#shown;
  }

  /**
   * Make room for a photo, or for the camera's picture.
   * @param {"photo" | "live"} kind
   */
  open(kind) {
    if (location.hash !== "" && location.hash !== "#detect") location.hash = "#detect";
    document.body.classList.add("has-photo");
    byId("result").hidden = false;
    this.turn(kind);
  }

  /** Go back to the beginning. */
  close() {
    this.turn("photo");
    byId("result").hidden = true;
    document.body.classList.remove("has-photo");
  }

  /** @param {"photo" | "live"} kind */
  turn(kind) {
    this.#photo.hidden = kind === "live";
    byId("live-video").hidden = byId("live").hidden = kind === "photo";
  }

  /**
   * Show answers and no others, one of them selected.
   * @param {Shown} shown
   */
  present(shown) {
    this.#shown = shown;
    const { answers } = shown;
    if (!answers.some(({ candidate }) => candidate.id === this.#selected)) {
      this.#selected = answers[0]?.candidate.id ?? -1;
    }
    this.#draw(shown);
    byId("objects-title").textContent = answers.length ? `Objects (${answers.length})` : "Objects";
  }

  /** Forget what was found before. */
  clear() {
    this.#shown = undefined;
    this.#selected = -1;
    this.#boxes.clear();
    this.#objects.clear();
    this.#problem.hidden = true;
    byId("stage").hidden = byId("side").hidden = false;
    byId("saving").hidden = true;
    byId("nothing").hidden = true;
    byId("objects-title").textContent = "Objects";
    this.say("");
  }

  /** @param {string} text below the picture; it is read aloud */
  say(text) {
    if (byId("summary").textContent !== text) byId("summary").textContent = text;
  }

  /**
   * @param {string} text over the picture
   * @param {string} [status] what is read aloud, if it is to be read less often than the text changes
   */
  busy(text, status = text) {
    this.#waiting.hidden = false;
    this.#waiting.textContent = text;
    this.say(status);
  }

  idle() {
    this.#waiting.hidden = true;
  }

  /**
   * @param {string} title
   * @param {string} detail
   * @param {() => void} [again] tries once more
   */
  complain(title, detail, again) {
    byId("result").hidden = false;
    byId("stage").hidden = !this.#photo.naturalWidth;
    byId("side").hidden = !this.#shown;
    this.say("");
    this.#problem.replaceChildren(make("strong", {}, title), make("p", {}, detail));
    if (again) {
      const button = make("button", { type: "button" }, "Try again");
      button.addEventListener("click", again);
      this.#problem.append(button);
    }
    this.#problem.hidden = false;
  }

  /** @param {number} id of a candidate or a track; -1 selects none */
  #select(id) {
    if (!this.#shown || id === this.#selected) return;
    this.#selected = id;
    this.#draw(this.#shown);
  }

  /** @param {Shown} shown */
  #draw({ answers, tree, image, hierarchy }) {
    this.#boxes.show(answers, tree, image, this.#selected);
    this.#objects.show(answers, tree, hierarchy, this.#selected);
  }
}
