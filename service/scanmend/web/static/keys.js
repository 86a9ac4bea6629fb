// The keyboard: one table, shown by `?`. Picture keys act in the live view only.
import { $, make } from "./dom.js";

const EVERYWHERE = new Set(["Escape", "?", "k", "r"]);

export function listen(actions, view) {
  const list = $("keys").querySelector("dl");
  for (const { keys, about } of actions) {
    const shown = keys.filter((key) => key.shown !== false).flatMap((key) => [make("kbd", {}, key.name), " "]);
    list.append(make("dt", {}, ...shown), make("dd", {}, about));
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (!document.documentElement.contains(event.target) || !event.target.closest) return;
    const typing = event.target.closest("input, select, textarea");
    const slides = typing?.type === "range";
    if (typing && (!slides || event.key.startsWith("Arrow"))) return;
    if (event.target.closest("button:not(.handle), a, summary") && [" ", "Enter"].includes(event.key)) return;
    if (view() !== "live" && !EVERYWHERE.has(event.key)) return;
    for (const { keys, act } of actions) {
      const key = keys.find((key) => key.key === event.key && (key.shift === undefined || key.shift === event.shiftKey));
      if (!key) continue;
      event.preventDefault();
      act(key, event);
      return;
    }
  });
}

export function showKeys() {
  ask($("keys"));
}

// Open a dialog; gives the value of the button pressed, "no" where it was dismissed. A dialog traps the focus and gives
// it back by itself.
export function ask(dialog) {
  return new Promise((resolve) => {
    let answer = "no";
    const press = (event) => {
      const button = event.target.closest("button[value]");
      if (button) {
        answer = button.value;
        dialog.close();
      }
    };
    dialog.addEventListener("click", press);
    dialog.addEventListener("close", () => {
      dialog.removeEventListener("click", press);
      resolve(answer);
    }, { once: true });
    dialog.showModal();
  });
}
