/** The choice of light or dark. `theme.js` keeps it and shows it. */

import { h } from "./dom.js";

const THEMES = { system: "System", light: "Light", dark: "Dark" };

export function themeChoice() {
  const chosen = document.documentElement.dataset.theme ?? "system";
  return h("select", { class: "theme", "aria-label": "Theme", title: "Theme" },
    Object.entries(THEMES).map(([value, label]) => h("option", { value, selected: value === chosen }, label)));
}
