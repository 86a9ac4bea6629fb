// Small helpers for building the page. Text is always set as text, never as markup.
export const $ = (id) => document.getElementById(id);

// An element: `make("p", { className: "quiet" }, "text", otherElement)`. Keys with a dash are set as attributes.
export function make(tag, properties = {}, ...content) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...content.filter((part) => part !== null && part !== undefined && part !== ""));
  return element;
}

// Set what has changed only: a live region speaks whenever its text is set, even to the same.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

// A sentence for screen readers.
export function announce(text) {
  setText($("announce"), text);
}

let timer = 0;

// A sentence for everybody, for some seconds; longer where something went wrong.
export function toast(text, wrong = false) {
  const element = $("toast");
  element.textContent = text;
  element.className = wrong ? "shown wrong" : "shown";
  clearTimeout(timer);
  timer = setTimeout(() => element.classList.remove("shown"), wrong ? 12000 : 5000);
}
