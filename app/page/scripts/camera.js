/** The camera of the computer or the phone: its picture in a video element, and single frames of it. */

/** Wide enough for the network's largest input. */
const WIDTH = 1280;
const PHOTO_WIDTH = 1920;

/** What keeps the camera from being used, in words for the person. */
export class CameraError extends Error {}

export class Camera {
  #video;
  #canvas = document.createElement("canvas");
  /** @type {MediaStream | undefined} */
  #stream;
  /** @type {string[]} */
  #cameras = [];
  #ended;

  /** Cameras are only given to pages that are loaded over HTTPS or from this very machine. */
  static get usable() {
    return Boolean(navigator.mediaDevices?.getUserMedia);
  }

  /**
   * @param {HTMLVideoElement} video
   * @param {() => void} ended called when the camera stops by itself, as when it is unplugged
   */
  constructor(video, ended) {
    this.#video = video;
    this.#ended = ended;
  }

  /** How many cameras there are; known once one runs. */
  get count() {
    return this.#cameras.length;
  }

  /** Start the camera that looks away from the person, where there are two. */
  async start() {
    await this.#open({ facingMode: { ideal: "environment" } });
    const devices = await navigator.mediaDevices.enumerateDevices();
    this.#cameras = devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId }) => deviceId);
  }

  /** Go on with the next camera. */
  async turn() {
    const current = this.#stream?.getVideoTracks()[0]?.getSettings().deviceId ?? "";
    const next = this.#cameras[(this.#cameras.indexOf(current) + 1) % this.#cameras.length];
    this.stop();
    await this.#open({ deviceId: { exact: next } });
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = undefined;
    this.#video.srcObject = null;
  }

  /**
   * Take what the video shows now.
   * @param {number} longest pixels of the longer side, at most
   * @param {number} quality of the JPEG
   * @returns {Promise<Blob>}
   */
  frame(longest, quality) {
    const { videoWidth, videoHeight } = this.#video;
    const scale = Math.min(1, longest / Math.max(videoWidth, videoHeight));
    this.#canvas.width = Math.max(1, Math.round(videoWidth * scale));
    this.#canvas.height = Math.max(1, Math.round(videoHeight * scale));
    this.#canvas.getContext("2d")?.drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((resolve, reject) =>
      this.#canvas.toBlob(
        (blob) => (blob ? resolve(blob) : reject(new CameraError("The camera gives no picture."))),
        "image/jpeg",
        quality,
      ),
    );
  }

  /**
   * Take a photo, as large as the camera gives it.
   * @returns {Promise<File>}
   */
  async photo() {
    return new File([await this.frame(Number.POSITIVE_INFINITY, 0.92)], "photo.jpg", { type: "image/jpeg" });
  }

  /** @param {MediaTrackConstraints} which */
  async #open(which) {
    const size = { width: { min: WIDTH / 4, ideal: WIDTH, max: PHOTO_WIDTH } };
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { ...which, ...size }, audio: false });
      this.#stream.getVideoTracks()[0]?.addEventListener("ended", this.#ended);
      this.#video.srcObject = this.#stream;
      await this.#video.play();
    } catch (error) {
      this.stop();
      throw new CameraError(reason(error));
    }
  }
}

/** @param {unknown} error */
function reason(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") return "The browser does not let this page use the camera.";
  if (name === "NotFoundError") return "There is no camera.";
  return "The camera cannot be used; another program may have it.";
}
