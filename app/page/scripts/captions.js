/** What is said of an object in one line; app/engine/captions.py says the same in the pictures of the service. */

/**
 * @typedef {import("./walk.js").Answer} Answer
 * @typedef {import("./tree.js").Tree} Tree
 */

/** Levels of the tree whose concepts tell a person little: object, whole, artifact. */
export const VAGUE_LEVELS = 4;

/**
 * A label; in a video with the object's number before it, as the drawn videos of the command have it: "#3 beagle".
 * @param {Answer} found
 * @param {Tree} tree
 */
export function called({ node, track }, tree) {
  return track === undefined ? tree.names[node] : `#${track} ${tree.names[node]}`;
}

/**
 * What a label hesitates between: "car .41, truck .38".
 * @param {Answer} found
 * @param {Tree} tree
 * @param {number} [most] alternatives
 */
export function hesitation({ alternatives }, tree, most = alternatives.length) {
  return alternatives
    .slice(0, most)
    .map(({ node, probability }) => `${tree.names[node]} ${probability.toFixed(2).replace(/^0/, "")}`)
    .join(", ");
}

/**
 * A label with its likeliest alternative: "vehicle: car .41".
 * @param {Answer} found
 * @param {Tree} tree
 */
export function briefly(found, tree) {
  return joined(called(found, tree), hesitation(found, tree, 1));
}

/**
 * A label with its score and alternatives, the longest text first, then each with one alternative less.
 * @param {Answer} found
 * @param {Tree} tree
 */
export function captions(found, tree) {
  const label = `${tree.names[found.node]} ${found.score.toFixed(2)}`;
  const counts = found.alternatives.map((_, place) => found.alternatives.length - place);
  return [...counts, 0].map((count) => joined(label, hesitation(found, tree, count)));
}

/**
 * @param {string} label
 * @param {string} others
 */
const joined = (label, others) => (others ? `${label}: ${others}` : label);
