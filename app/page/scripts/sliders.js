/** The three sliders: how particular labels are, how sure a box must be, how much two boxes of one thing may overlap. */

import { make } from "./dom.js";

/**
 * @typedef {import("./walk.js").Thresholds} Thresholds
 * @typedef {"hierarchy" | "objectness" | "iou"} Name
 *
 * @typedef {object} Slider
 * @property {Name} name
 * @property {string} title
 * @property {string} low what the left end means
 * @property {string} high what the right end means
 * @property {(position: number) => number} threshold at a position of 0 to 1 from the left
 * @property {(threshold: number) => number} position
 * @property {(threshold: number) => string} says the threshold in words
 */

/** @type {Slider[]} */
const SLIDERS = [
  {
    name: "hierarchy",
    title: "Specificity",
    low: "general",
    high: "particular",
    // The probabilities of a path crowd near 1: there the slider moves the threshold least.
    threshold: (position) => rounded(1 - position ** 2, 4),
    position: (threshold) => Math.sqrt(1 - threshold),
    says: (value) => `labels at least ${percent(value)} probable`,
  },
  {
    name: "objectness",
    title: "Objectness",
    low: "more boxes",
    high: "surer boxes",
    threshold: (position) => rounded(position, 2),
    position: (threshold) => threshold,
    says: (value) => `boxes at least ${percent(value)} sure`,
  },
  {
    name: "iou",
    title: "Overlap",
    low: "one box each",
    high: "keep doubles",
    threshold: (position) => rounded(position, 2),
    position: (threshold) => threshold,
    says: (value) => `related boxes overlap at most ${percent(value)}`,
  },
];

/** @param {number} value */
const percent = (value) => `${rounded(100 * value, value > 0.9 && value < 1 ? 1 : 0)}%`;

/**
 * @param {number} value
 * @param {number} decimals
 */
function rounded(value, decimals) {
  return Number(value.toFixed(decimals));
}

export class Sliders {
  /** @type {Map<Name, { input: HTMLInputElement, output: HTMLOutputElement, slider: Slider }>} */
  #parts = new Map();
  /** @type {Record<Name, number>} */
  #values = { hierarchy: 0.5, objectness: 0.25, iou: 0.45 };

  /**
   * @param {HTMLElement} place
   * @param {() => void} changed
   */
  constructor(place, changed) {
    for (const slider of SLIDERS) {
      const id = `slider-${slider.name}`;
      const input = make("input", { type: "range", id, min: "0", max: "1", step: "0.01" });
      const output = make("output", { for: id, "aria-hidden": "true" });
      input.addEventListener("input", () => {
        this.#values[slider.name] = slider.threshold(Number(input.value));
        this.#say(slider.name);
        changed();
      });
      place.append(
        make(
          "div",
          { class: `slider slider-${slider.name}` },
          make("label", { htmlFor: id }, slider.title),
          output,
          input,
          make(
            "span",
            { class: "ends", "aria-hidden": "true" },
            make("span", {}, slider.low),
            make("span", {}, slider.high),
          ),
        ),
      );
      this.#parts.set(slider.name, { input, output, slider });
    }
  }

  /** @param {Record<Name, number>} values */
  set(values) {
    this.#values = { ...values };
    for (const [name, { input, slider }] of this.#parts) {
      input.value = String(slider.position(values[name]));
      this.#say(name);
    }
  }

  /**
   * Let no lower objectness be chosen than the boxes at hand were asked for with.
   * @param {number} least
   */
  limitObjectness(least) {
    const part = this.#parts.get("objectness");
    if (!part) return;
    part.input.min = String(least);
    if (this.#values.objectness < least) this.#values.objectness = least;
    this.#say("objectness");
  }

  /** @returns {Record<Name, number>} */
  get values() {
    return { ...this.#values };
  }

  /** @param {Name} name */
  #say(name) {
    const part = this.#parts.get(name);
    if (!part) return;
    const words = part.slider.says(this.#values[name]);
    part.output.textContent = words;
    part.input.setAttribute("aria-valuetext", words);
    const { min, max, value } = part.input;
    const filled = (Number(value) - Number(min)) / (Number(max) - Number(min));
    part.input.style.setProperty("--filled", `${100 * filled}%`);
  }
}
