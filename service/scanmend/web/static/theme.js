// Dark, dim red, light, or as the computer has it; kept in this browser.
import { recall, remember } from "./memory.js";

const KEY = "theme";
const NAMES = ["dark", "red", "light", "system"];
const lightWanted = matchMedia("(prefers-color-scheme: light)");

// Let the select choose; `changed` is called after each change, for what is painted on a canvas.
export function themes(select, changed) {
  const known = recall(KEY, "dark");
  select.value = NAMES.includes(known) ? known : "dark";
  const wear = () => {
    const name = select.value === "system" ? (lightWanted.matches ? "light" : "dark") : select.value;
    document.documentElement.dataset.theme = name;
    changed();
  };
  select.onchange = () => {
    remember(KEY, select.value);
    wear();
  };
  lightWanted.addEventListener("change", wear);
  wear();
}

const known = {}; // colours by theme and name: asking the browser makes it compute every style again

// A colour of the theme, for a canvas.
export function colour(name) {
  const root = document.documentElement;
  const key = `${root.dataset.theme} ${name}`;
  return (known[key] ??= getComputedStyle(root).getPropertyValue(`--${name}`).trim());
}
