/** Light, dark, or what the system says; remembered in this browser. */

const KEY = "yolo9000.theme";
const ORDER = ["system", "light", "dark"];
const LABELS = { system: "Auto", light: "Light", dark: "Dark" };

/** @param {HTMLButtonElement} button */
export function setUpTheme(button) {
  let theme = remembered();
  const apply = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const label = LABELS[/** @type {keyof typeof LABELS} */ (theme)];
    button.textContent = `◐ ${label}`;
    button.setAttribute("aria-label", `Colours: ${label}`);
  };
  button.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Storage may be switched off; then the choice lasts as long as the page.
    }
    apply();
  });
  apply();
  button.hidden = false;
}

function remembered() {
  try {
    const stored = localStorage.getItem(KEY);
    return stored && ORDER.includes(stored) ? stored : "system";
  } catch {
    return "system";
  }
}
