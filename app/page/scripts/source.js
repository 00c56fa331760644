/** Where photos come from: dropped, pasted, chosen, taken, or one of the samples. */

import { Camera } from "./camera.js";
import { byId } from "./dom.js";

/**
 * @param {(photo: Blob, name: string) => void} given called with each photo
 * @param {(problem: string) => void} refused called with what was given instead
 * @param {() => void} live called when the camera is asked for
 */
export function setUpSources(given, refused, live) {
  const choose = /** @type {HTMLInputElement} */ (byId("file"));
  const capture = /** @type {HTMLInputElement} */ (byId("capture"));
  /** @param {File | null | undefined} file */
  const take = (file) => {
    if (file) given(file, file.name || "photo");
  };

  byId("choose").addEventListener("click", () => choose.click());
  for (const input of [choose, capture]) {
    input.addEventListener("change", () => {
      take(input.files?.[0]);
      input.value = ""; // so that the same file may be chosen again
    });
  }
  byId("camera").textContent = Camera.usable ? "Use the camera" : "Take a photo";
  // Where the page may not have the camera, a phone's own application takes the photo.
  byId("camera").addEventListener("click", () => (Camera.usable ? live() : capture.click()));
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-sample]"))) {
    button.addEventListener("click", async () => {
      const name = String(button.dataset.sample);
      try {
        const response = await fetch(document.body.dataset.samples + name);
        if (!response.ok) throw new Error(response.statusText);
        given(await response.blob(), name);
      } catch {
        refused("The sample cannot be loaded.");
      }
    });
  }
  setUpDropping(take, refused);
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}

/**
 * Take files dropped anywhere on the page; without this the browser would leave the page to show them.
 * @param {(file: File | null | undefined) => void} take
 * @param {(problem: string) => void} refused
 */
function setUpDropping(take, refused) {
  const { classList } = document.body;
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    classList.toggle("dropping", event.dataTransfer?.types.includes("Files") ?? false);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    classList.remove("dropping");
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
    else refused("That was no file. Save the picture first, then drop the file.");
  });
}
