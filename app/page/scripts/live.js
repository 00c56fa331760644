/** The camera, live: each frame's objects over the moving picture, with the names their tracks have so far. */

import { ProblemError } from "./api.js";
import { Camera, CameraError } from "./camera.js";
import { byId, make } from "./dom.js";
import { Ended, Stream, whyRefused } from "./stream.js";

/**
 * @typedef {import("./stream.js").StreamAnswer} StreamAnswer
 * @typedef {import("./tree.js").Tree} Tree
 * @typedef {import("./walk.js").Answer} Answer
 *
 * @typedef {object} Around what the live view needs of the page around it
 * @property {() => URLSearchParams} parameters what is asked for now
 * @property {(answer: StreamAnswer) => void} show called with each answer
 * @property {(text: string) => void} say called when something changes that a person should be told
 * @property {(title: string, detail: string, again: () => void) => void} complain called when it cannot go on
 * @property {(photo: File) => void} taken called with a photo; the live view has ended
 */

/** Pixels of a frame's longer side beside those of the network's input, so that scaling once more costs no detail. */
const MARGIN = 1.25;
const QUALITY = 0.8;
/** Answers that the frames a second and the delay are averaged over. */
const REMEMBERED = 20;
/** Connections in a row that break before a frame was answered: something in between does not let them pass. */
const MOST_FAILURES = 3;

export class Live {
  #around;
  #camera;
  #video = /** @type {HTMLVideoElement} */ (byId("live-video"));
  #pauseButton = byId("live-pause");
  #size = /** @type {HTMLSelectElement} */ (byId("live-size"));
  #running = new AbortController();
  #paused = false;
  /** @type {Stream | undefined} */
  #stream;
  /** @type {() => void} */
  #stir = () => undefined;
  /** @type {{ shown: number, delay: number }[]} */
  #times = [];

  /** @param {Around} around */
  constructor(around) {
    this.#around = around;
    this.#camera = new Camera(this.#video, () => this.#fail(new CameraError("The camera has stopped.")));
    this.#running.abort();
    this.#video.addEventListener("resize", () => {
      const { videoWidth, videoHeight, style } = this.#video;
      style.setProperty("--width", `${videoWidth}px`);
      style.setProperty("--aspect", String(videoWidth / videoHeight));
    });
    this.#pauseButton.addEventListener("click", () => this.#pause(!this.#paused));
    byId("live-turn").addEventListener("click", () => this.#turn());
    byId("live-photo").addEventListener("click", () => this.#take());
    this.#size.addEventListener("change", () => this.changed());
  }

  get on() {
    return !this.#running.signal.aborted;
  }

  /**
   * Begin.
   * @param {{ sizes: number[], default_size: number }} model
   */
  async start({ sizes, default_size }) {
    this.stop();
    this.#running = new AbortController();
    const { signal } = this.#running;
    if (!this.#size.options.length) {
      this.#size.replaceChildren(...sizes.map((size) => make("option", { value: String(size) }, `${size} px`)));
      this.#size.value = String(default_size);
    }
    this.#pause(false);
    this.#times = [];
    byId("live-rate").textContent = "";
    try {
      await this.#camera.start();
      if (signal.aborted) {
        this.#camera.stop();
        return;
      }
      byId("live-turn").hidden = this.#camera.count < 2;
      await this.#keepConnected(signal);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  /** End, and let go of the camera. */
  stop() {
    this.#running.abort();
    this.#stream?.close();
    this.#stream = undefined;
    this.#stir();
    this.#camera.stop();
  }

  /** Ask with the parameters of now from the next frame on; a paused picture is asked about once more. */
  changed() {
    const asked = this.#query();
    const { under: _, ...query } = Object.fromEntries(asked);
    const under = asked.getAll("under");
    this.#stream?.change({
      ...Object.fromEntries(Object.entries(query).map(([name, at]) => [name, Number(at)])),
      under,
    });
    this.#stir();
  }

  #query() {
    const query = this.#around.parameters();
    query.set("size", this.#size.value);
    return query;
  }

  /**
   * Watch, and connect again when the connection breaks.
   * @param {AbortSignal} signal
   */
  async #keepConnected(signal) {
    for (let failures = 0; ; failures += 1) {
      const query = this.#query();
      try {
        this.#stream = await Stream.open(query, (problem) => this.#around.say(problem.message));
        this.#around.say(this.#paused ? "Paused" : "Live");
        await this.#watch(this.#stream, signal, () => (failures = 0));
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Ended)) throw error;
      }
      if (failures >= MOST_FAILURES) {
        throw new ProblemError("No stream", "The connection breaks. A proxy in between may not let WebSockets pass.");
      }
      this.#around.say("Connecting again …");
      await whyRefused(query, {
        signal,
        onWait: (seconds, why) => this.#around.say(`${why}: trying again in ${seconds} s`),
      });
    }
  }

  /**
   * Ask about one frame after the other, until the end.
   * @param {Stream} stream
   * @param {AbortSignal} signal
   * @param {() => void} answered called after each answer
   */
  async #watch(stream, signal, answered) {
    while (!signal.aborted) {
      const still = this.#paused;
      if (!still) await this.#nextFrame();
      const began = performance.now();
      const frame = await this.#camera.frame(MARGIN * Number(this.#size.value), QUALITY);
      try {
        const answer = await stream.ask(frame);
        if (signal.aborted) return;
        this.#around.show(answer);
        this.#tell(began, still);
        answered();
      } catch (error) {
        if (!(error instanceof ProblemError) || !error.passing) throw error;
        this.#around.say(error.message);
      }
      if (still) await new Promise((resolve) => (this.#stir = () => resolve(undefined)));
    }
  }

  /** Wait until the camera has another picture. */
  #nextFrame() {
    const video = this.#video;
    return new Promise((resolve) => {
      this.#stir = () => resolve(undefined);
      if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(resolve);
      else requestAnimationFrame(resolve);
    });
  }

  /**
   * Show how many frames a second are answered, and how long after they were seen.
   * @param {number} began
   * @param {boolean} still
   */
  #tell(began, still) {
    const now = performance.now();
    if (still) this.#times = [];
    else this.#times.push({ shown: now, delay: now - began });
    if (this.#times.length > REMEMBERED) this.#times.shift();
    if (this.#times.length < 2) return;
    const seconds = (now - this.#times[0].shown) / 1000;
    const delay = this.#times.reduce((sum, one) => sum + one.delay, 0) / this.#times.length;
    byId("live-rate").textContent =
      `${((this.#times.length - 1) / seconds).toFixed(1)} frames/s · ${delay.toFixed(0)} ms`;
  }

  /** @param {boolean} paused */
  #pause(paused) {
    this.#paused = paused;
    this.#pauseButton.textContent = paused ? "Go on" : "Pause";
    if (!this.on || !this.#video.srcObject) return;
    if (paused) this.#video.pause();
    else this.#video.play().catch((error) => this.#fail(error));
    this.#around.say(paused ? "Paused" : "Live");
    this.#stir();
  }

  async #turn() {
    try {
      await this.#camera.turn();
      if (this.#paused) this.#pause(false);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #take() {
    try {
      const photo = await this.#camera.photo();
      this.stop();
      this.#around.taken(photo);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    this.stop();
    const title = error instanceof ProblemError ? error.title : "No camera";
    const known = error instanceof ProblemError || error instanceof CameraError;
    this.#around.complain(title, known ? error.message : String(error), byId("camera").click.bind(byId("camera")));
    if (!known) throw error;
  }
}

/**
 * What is followed in a frame, as the page shows answers; a track's number stands for a candidate's id.
 * @param {StreamAnswer} answer
 * @param {Tree} tree
 * @returns {Answer[]}
 */
export function followed({ detections }, tree) {
  return detections.map(({ track, box, objectness, score, path, alternatives }) => {
    const nodes = path.map(({ wnid }) => tree.index(wnid));
    return {
      candidate: {
        id: track,
        box,
        objectness,
        nodes,
        probabilities: path.map((step) => step.probability),
        alternatives: [],
      },
      length: path.length,
      node: nodes[nodes.length - 1],
      score,
      alternatives: alternatives.map(({ wnid, probability }) => ({ node: tree.index(wnid), probability })),
      track,
    };
  });
}
