/** Taking a photo: with the phone's own camera application, or with a camera of the computer in a dialogue. */

import { byId } from "./dom.js";

/** Phones and tablets do it better themselves. */
const isTouch = () => matchMedia("(pointer: coarse)").matches;

/**
 * Make the button take photos.
 * @param {HTMLButtonElement} button
 * @param {HTMLInputElement} capture the file input with `capture`; the caller listens to it
 * @param {(photo: File) => void} taken
 */
export function setUpCamera(button, capture, taken) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("camera-dialog"));
  const video = /** @type {HTMLVideoElement} */ (byId("camera-video"));
  const shoot = /** @type {HTMLButtonElement} */ (byId("camera-shoot"));
  const problem = byId("camera-problem");

  button.addEventListener("click", async () => {
    // Cameras are only given to pages that are loaded over HTTPS or from this very machine.
    if (isTouch() || !navigator.mediaDevices) {
      capture.click();
      return;
    }
    problem.textContent = "";
    shoot.disabled = true;
    dialog.showModal();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } }, audio: false });
      if (!dialog.open) return stop(stream);
      video.srcObject = stream;
      await video.play();
      shoot.disabled = false;
    } catch (error) {
      problem.textContent = reason(error);
    }
  });
  dialog.addEventListener("close", () => {
    if (video.srcObject instanceof MediaStream) stop(video.srcObject);
    video.srcObject = null;
  });
  byId("camera-cancel").addEventListener("click", () => dialog.close());
  shoot.addEventListener("click", async () => {
    const photo = await frame(video);
    dialog.close();
    taken(photo);
  });
}

/** @param {MediaStream} stream */
function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/**
 * @param {HTMLVideoElement} video
 * @returns {Promise<File>}
 */
function frame(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  return new Promise((resolve, reject) =>
    canvas.toBlob(
      (blob) => (blob ? resolve(new File([blob], "photo.jpg", { type: blob.type })) : reject(new Error("no frame"))),
      "image/jpeg",
      0.92,
    ),
  );
}

/** @param {unknown} error */
function reason(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") return "The browser does not let this page use the camera.";
  if (name === "NotFoundError") return "There is no camera.";
  return "The camera cannot be used; another program may have it.";
}
