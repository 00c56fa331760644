/** Names on the arcs of a sunburst: along the ring where they fit, else from the centre outwards, shortened. */

import { TURN } from "./rings.js";

const LEAST_HEIGHT = 12;
const PADDING = 10;

/**
 * Write a name on an arc, if there is room.
 * @param {CanvasRenderingContext2D} context with its origin in the centre
 * @param {string} name
 * @param {import("./rings.js").Arc} arc with radii in pixels
 */
export function writeName(context, name, { start, end, inner, outer }) {
  const middle = (start + end) / 2;
  const radius = (inner + outer) / 2;
  const thickness = outer - inner;
  const width = context.measureText(name).width;
  const sagitta = width ** 2 / (8 * radius);
  const along = width + PADDING < (end - start) * radius && 2 * sagitta + LEAST_HEIGHT < thickness;
  if (!along && (end - start) * inner < LEAST_HEIGHT) return;
  const text = along ? name : shortened(context, name, thickness - PADDING);
  if (!text) return;

  context.save();
  context.rotate(middle);
  context.translate(radius, 0);
  const below = Math.sin(middle) > 0;
  const left = Math.cos(middle) < 0;
  if (along) context.rotate(below ? -TURN / 4 : TURN / 4);
  else if (left) context.rotate(TURN / 2);
  context.textAlign = "center";
  context.fillText(text, 0, 0);
  context.restore();
}

/**
 * Shorten a name until it fits.
 * @param {CanvasRenderingContext2D} context
 * @param {string} name
 * @param {number} width in pixels
 * @returns {string} empty if only a letter or two would be left
 */
export function shortened(context, name, width) {
  if (context.measureText(name).width <= width) return name;
  for (let length = name.length - 1; length > 2; length -= 1) {
    const short = `${name.slice(0, length).trimEnd()}…`;
    if (context.measureText(short).width <= width) return short;
  }
  return "";
}
