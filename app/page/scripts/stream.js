/**
 * A stream to the service: frames there, answers back, over one WebSocket (/detect/stream).
 *
 * @typedef {import("./walk.js").Found & { track: number }} Tracked
 * @typedef {{ image: { width: number, height: number }, detections: Tracked[], frame: number,
 *   timing_ms: Record<string, number> }} StreamAnswer
 */

import { ask, ProblemError } from "./api.js";
import { keyProtocols } from "./key.js";

const PROTOCOL = "yolo9000.stream.v1";
/** What a plain request is answered with where a stream could be opened. */
const COULD_BE_OPENED = 426;

/** The connection has ended: it may be opened again. */
export class Ended extends Error {}

export class Stream {
  #socket;
  /** @type {{ resolve: (answer: StreamAnswer) => void, reject: (error: Error) => void } | undefined} */
  #waiting;
  #refused;

  /**
   * @param {WebSocket} socket an open one
   * @param {(problem: ProblemError) => void} refused called when parameters cannot be asked
   */
  constructor(socket, refused) {
    this.#socket = socket;
    this.#refused = refused;
    socket.addEventListener("message", ({ data }) => this.#receive(JSON.parse(data)));
    socket.addEventListener("close", ({ reason }) => this.#settle()?.reject(new Ended(reason)));
  }

  /**
   * Open a stream.
   * @param {URLSearchParams} query
   * @param {(problem: ProblemError) => void} refused called when parameters cannot be asked
   * @returns {Promise<Stream>}
   * @throws {Ended} it was refused, or the service cannot be reached; `whyRefused` tells
   */
  static open(query, refused) {
    const address = new URL(`detect/stream?${query}`, document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address, [PROTOCOL, ...keyProtocols()]);
    return new Promise((resolve, reject) => {
      socket.addEventListener("open", () => resolve(new Stream(socket, refused)), { once: true });
      socket.addEventListener("close", () => reject(new Ended("not opened")), { once: true });
    });
  }

  /**
   * Send a frame and wait for its answer; one at a time.
   * @param {Blob} frame
   * @returns {Promise<StreamAnswer>}
   * @throws {ProblemError} the service cannot answer this frame
   * @throws {Ended} the connection has ended
   */
  ask(frame) {
    return new Promise((resolve, reject) => {
      if (this.#socket.readyState !== WebSocket.OPEN) {
        reject(new Ended(""));
        return;
      }
      this.#waiting = { resolve, reject };
      this.#socket.send(frame);
    });
  }

  /**
   * Change what is asked from the next frame on.
   * @param {Record<string, unknown>} parameters
   */
  change(parameters) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(parameters));
  }

  close() {
    this.#socket.close();
  }

  /** @param {any} message */
  #receive(message) {
    if (!("status" in message)) {
      this.#settle()?.resolve(message);
      return;
    }
    const problem = new ProblemError(message.title, message.detail, message.status);
    if ("frame" in message) this.#settle()?.reject(problem);
    else this.#refused(problem);
  }

  #settle() {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }
}

/**
 * Find out why a stream was not opened, which a browser does not tell. Where the service is full or not ready, this
 * waits as it says; where it wants a key, the person is asked.
 * @param {URLSearchParams} query
 * @param {import("./api.js").Patience} patience
 * @returns {Promise<void>} a stream could be opened now
 * @throws {ProblemError} why it cannot
 */
export async function whyRefused(query, patience) {
  try {
    await ask(`detect/stream?${query}`, {}, patience);
  } catch (error) {
    if (!(error instanceof ProblemError) || error.status !== COULD_BE_OPENED) throw error;
  }
}
