/**
 * The service's own answer at any thresholds, from one answer with low ones: model/answers/walk.py and
 * model/answers/suppression.py once more, to the last bit.
 *
 * The walk through the tree always goes to the likeliest child, so the path of a walk with a high threshold is the
 * beginning of the path of a walk with threshold 0. The service gives its numbers out as float32 in full and compares
 * them as such; so does this module, with Math.fround around every step of arithmetic.
 *
 * @typedef {import("./tree.js").Tree} Tree
 * @typedef {{ x1: number, y1: number, x2: number, y2: number }} Box in pixels of the picture
 * @typedef {{ wnid: string, name: string, probability: number }} Concept
 * @typedef {Concept & { alternatives?: Concept[] }} Step
 * @typedef {object} Found an object as the service describes it
 * @property {Box} box
 * @property {{ wnid: string, name: string }} label
 * @property {number} score
 * @property {number} objectness
 * @property {Step[]} path
 * @property {Concept[]} alternatives
 *
 * @typedef {{ node: number, probability: number }} Alternative a concept below a label that it hesitated between
 *
 * @typedef {object} Candidate a box with its whole path, as far as the walk goes with threshold 0
 * @property {number} id
 * @property {Box} box
 * @property {number} objectness
 * @property {number[]} nodes from the root down, places in the tree
 * @property {number[]} probabilities absolute, of each node
 * @property {Alternative[][]} alternatives what a walk that ended at each node would have hesitated between
 *
 * @typedef {object} Answer a candidate with its label
 * @property {Candidate} candidate
 * @property {number} length how much of the path stands; its last node is the label
 * @property {number} node the label
 * @property {number} score objectness times the label's probability
 * @property {Alternative[]} alternatives
 * @property {number} [track] in a video the number of the object
 *
 * @typedef {object} Thresholds what /detect calls threshold, hierarchy_threshold, iou_threshold and max_detections
 * @property {number} objectness
 * @property {number} hierarchy
 * @property {number} iou
 * @property {number} most
 */

const { fround } = Math;

/** model/answers/suppression.py says what these are. */
const NEAR_DEPTH = 4;
const NEAR_IOU = fround(0.6);
const ANY_IOU = fround(0.7);

/**
 * Take over what the service found with hierarchy_threshold 0, iou_threshold 1 and alternatives along the path.
 * @param {Found[]} found
 * @param {Tree} tree
 * @returns {Candidate[]}
 */
export function candidates(found, tree) {
  return found.map(({ box, objectness, path }, id) => ({
    id,
    box: { x1: fround(box.x1), y1: fround(box.y1), x2: fround(box.x2), y2: fround(box.y2) },
    objectness: fround(objectness),
    nodes: path.map((step) => tree.index(step.wnid)),
    probabilities: path.map((step) => fround(step.probability)),
    alternatives: path.map(({ alternatives = [] }) =>
      alternatives.map(({ wnid, probability }) => ({ node: tree.index(wnid), probability: fround(probability) })),
    ),
  }));
}

/**
 * Answer as the service does with these thresholds: label every box, then keep one box for each object.
 * @param {Candidate[]} all
 * @param {Thresholds} thresholds the objectness not below that of the request the candidates come from
 * @param {Tree} tree
 * @param {ReadonlySet<number>} under the concepts that request was restricted to; empty for no restriction
 * @returns {Answer[]} by descending score
 */
export function answer(all, thresholds, tree, under = new Set()) {
  const least = fround(thresholds.objectness);
  const labelled = [];
  for (const candidate of all) {
    if (candidate.objectness < least) continue;
    const length = standing(candidate, thresholds.hierarchy, tree, under);
    if (!length) continue;
    const score = fround(candidate.objectness * candidate.probabilities[length - 1]);
    const alternatives = candidate.alternatives[length - 1];
    labelled.push({ candidate, length, node: candidate.nodes[length - 1], score, alternatives });
  }
  return suppressed(labelled, thresholds);
}

/**
 * Count the nodes of a path that stand at a threshold: `walk` of model/answers/walk.py.
 * @param {Candidate} candidate
 * @param {number} threshold least absolute probability to go on
 * @param {Tree} tree
 * @param {ReadonlySet<number>} under
 * @returns {number} 0 where nothing the walk may start from is likely enough
 */
export function standing({ nodes, probabilities }, threshold, tree, under) {
  const least = fround(threshold);
  const start = under.size ? nodes.findIndex((node) => under.has(node)) : 0;
  if (start < 0 || (under.size && probabilities[start] < least)) return 0;
  let last = start;
  while (last + 1 < nodes.length && probabilities[last + 1] >= least) last += 1;
  while (last > start && tree.unproven[nodes[last]]) last -= 1;
  return last + 1;
}

/**
 * Keep the best of the boxes that show one object: `lineage_suppression` of model/answers/suppression.py.
 * @param {Answer[]} answers
 * @param {Thresholds} thresholds
 */
function suppressed(answers, { iou, most }) {
  const limit = fround(iou);
  /** @type {Answer[]} */
  const kept = [];
  for (const next of [...answers].sort(better)) {
    if (kept.length >= most) break;
    if (!kept.some((other) => sameObject(other, next, limit))) kept.push(next);
  }
  return kept;
}

/**
 * Tell whether two boxes show one object: they overlap by more than an IoU that depends on how near their labels are.
 * @param {Answer} one
 * @param {Answer} other
 * @param {number} limit the IoU asked for
 */
function sameObject(one, other, limit) {
  const iou = overlap(one.candidate.box, other.candidate.box);
  return iou > limit && (onOneLine(one, other) || iou > (near(one, other) ? NEAR_IOU : ANY_IOU));
}

/**
 * Order by descending score; equal ones from left to right, then by their other edges and their labels.
 * @param {Answer} a
 * @param {Answer} b
 */
function better(a, b) {
  const { box: one } = a.candidate,
    { box: other } = b.candidate;
  return (
    b.score - a.score ||
    one.x1 - other.x1 ||
    one.y1 - other.y1 ||
    one.x2 - other.x2 ||
    one.y2 - other.y2 ||
    a.node - b.node
  );
}

/**
 * Tell whether one label is the other or lies below it.
 * @param {Answer} a
 * @param {Answer} b
 */
function onOneLine(a, b) {
  const shared = Math.min(a.length, b.length) - 1;
  return a.candidate.nodes[shared] === b.candidate.nodes[shared];
}

/**
 * Tell whether both labels are or lie below one concept of NEAR_DEPTH.
 * @param {Answer} a
 * @param {Answer} b
 */
function near(a, b) {
  const deep = Math.min(a.length, b.length) > NEAR_DEPTH;
  return deep && a.candidate.nodes[NEAR_DEPTH] === b.candidate.nodes[NEAR_DEPTH];
}

/**
 * Intersection over union in float32: `box_iou` of model/geometry.py.
 * @param {Box} a
 * @param {Box} b
 */
export function overlap(a, b) {
  const width = side(Math.max(a.x1, b.x1), Math.min(a.x2, b.x2));
  const height = side(Math.max(a.y1, b.y1), Math.min(a.y2, b.y2));
  const intersection = fround(width * height);
  const union = fround(fround(area(a) + area(b)) - intersection);
  return union > 0 ? fround(intersection / union) : 0;
}

/** @param {Box} box */
const area = (box) => fround(side(box.x1, box.x2) * side(box.y1, box.y2));

/**
 * @param {number} from
 * @param {number} to
 */
const side = (from, to) => Math.max(fround(to - from), 0);
