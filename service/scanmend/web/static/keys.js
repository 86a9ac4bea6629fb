// The keyboard: one table, shown by `?`.
export function listen(actions) {
  const dialog = document.getElementById("keys");
  const list = dialog.querySelector("dl");
  for (const { keys, about } of actions) {
    const term = document.createElement("dt");
    for (const key of keys.filter((key) => key.shown !== false)) {
      const box = document.createElement("kbd");
      box.textContent = key.name;
      term.append(box, " ");
    }
    const text = document.createElement("dd");
    text.textContent = about;
    list.append(term, text);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest("input, select, textarea");
    if (typing && (typing.type !== "range" || event.key.startsWith("Arrow"))) return;
    if (event.target.closest("button") && [" ", "Enter"].includes(event.key)) return;
    for (const { keys, act } of actions) {
      const key = keys.find((key) => key.key === event.key && (key.shift === undefined || key.shift === event.shiftKey));
      if (!key) continue;
      event.preventDefault();
      act(key);
      return;
    }
  });
}

export function showKeys() {
  ask(document.getElementById("keys"));
}

// Open a dialog; gives the value of the button pressed, "no" where it was dismissed.
export function ask(dialog) {
  return new Promise((resolve) => {
    let answer = "no";
    const press = (event) => {
      const button = event.target.closest("button");
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
