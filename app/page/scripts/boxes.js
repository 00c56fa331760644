/** The boxes over the photo: for eyes and pointers; the list of objects says the same to everyone else. */

import { briefly, called, VAGUE_LEVELS } from "./captions.js";
import { make } from "./dom.js";
import { css, readableOn } from "./tree.js";

/**
 * @typedef {import("./walk.js").Answer} Answer
 * @typedef {import("./tree.js").Tree} Tree
 */

export class Boxes {
  #place;
  #chosen;
  /** @type {Map<number, HTMLElement>} by the candidate's id, so that a box stays the same element while labels move */
  #drawn = new Map();

  /**
   * @param {HTMLElement} place
   * @param {(id: number, pressed: boolean) => void} chosen called when a box is pointed at, and when it is pressed
   */
  constructor(place, chosen) {
    this.#place = place;
    this.#chosen = chosen;
  }

  clear() {
    this.#drawn.clear();
    this.#place.replaceChildren();
  }

  /**
   * Show these answers and no others.
   * @param {Answer[]} answers
   * @param {Tree} tree
   * @param {{ width: number, height: number }} image size of the picture in pixels
   * @param {number} selected id of the selected candidate
   */
  show(answers, tree, image, selected) {
    const wanted = new Set(answers.map(({ candidate }) => candidate.id));
    for (const [id, box] of this.#drawn) {
      if (!wanted.has(id)) {
        box.remove();
        this.#drawn.delete(id);
      }
    }
    for (const found of answers) {
      const { id } = found.candidate;
      const box = this.#drawn.get(id) ?? this.#draw(id);
      place(box, found, image);
      const colour = tree.colour(found.node);
      box.style.setProperty("--colour", css(colour));
      box.style.setProperty("--on-colour", readableOn(colour));
      box.classList.toggle("selected", id === selected);
      const [label] = box.children;
      // The list says more; over the photo there is little room.
      const hesitates = id === selected || found.length <= VAGUE_LEVELS;
      const text = hesitates ? briefly(found, tree) : called(found, tree);
      if (label.textContent !== text) label.textContent = text;
    }
  }

  /** @param {number} id */
  #draw(id) {
    const element = make("div", { class: "box" }, make("span", { class: "box-label" }));
    element.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse") this.#chosen(id, false);
    });
    element.addEventListener("click", () => this.#chosen(id, true));
    this.#drawn.set(id, element);
    this.#place.append(element);
    return element;
  }
}

/**
 * Lay a box over the picture; that of a track moves.
 * @param {HTMLElement} element
 * @param {Answer} found
 * @param {{ width: number, height: number }} image
 */
function place(element, { candidate: { box } }, image) {
  const width = (box.x2 - box.x1) / image.width;
  const height = (box.y2 - box.y1) / image.height;
  element.style.left = `${(100 * box.x1) / image.width}%`;
  element.style.top = `${(100 * box.y1) / image.height}%`;
  element.style.width = `${100 * width}%`;
  element.style.height = `${100 * height}%`;
  // Small ones lie on top, so that each can be reached.
  element.style.zIndex = String(1 + Math.round(1000 * (1 - width * height)));
  element.classList.toggle("at-top", box.y1 < 0.06 * image.height);
  element.classList.toggle("at-right", box.x1 > 0.7 * image.width);
}
