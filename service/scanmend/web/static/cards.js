// What stands over the pictures when there is nothing to show: no token, no session, no service.
const card = document.getElementById("card");
let shown = "";

function open(kind, ...content) {
  if (shown === kind) return;
  shown = kind;
  const box = document.createElement("div");
  box.append(...content);
  card.replaceChildren(box);
  card.hidden = false;
  card.dataset.kind = kind.split(" ")[0];
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

export function closeCard() {
  shown = "";
  card.hidden = true;
  card.dataset.kind = "";
}

export function askToken(wrong, give) {
  const form = document.createElement("form");
  const input = document.createElement("input");
  Object.assign(input, { type: "password", placeholder: "access token", autocomplete: "off", required: true });
  input.setAttribute("aria-label", "Access token");
  form.append(input, Object.assign(element("button", "Open"), { type: "submit" }));
  form.onsubmit = (event) => {
    event.preventDefault();
    give(input.value.trim());
  };
  open(wrong ? "token wrong" : "token",
    element("h2", wrong ? "This is not the service’s token." : "The page needs the access token."),
    element("p", "The service printed an address with the token when it started. The token is also in the file"),
    element("code", "access-token"),
    element("p", "of its data folder (scanmend-data, if nothing else was chosen)."), form);
  input.focus();
}

export function noSession(address) {
  open(`session ${address}`,
    element("h2", "No microscope is connected."),
    element("p", "Try it with a simulated one, in a terminal:"),
    element("code", "scanmend simulate"),
    element("p", "or everything at once, with a service of its own:"),
    element("code", "scanmend demo"),
    element("p", `Your own control software connects to ${address || "the service’s address"}.`));
}

export function waiting(session, ended) {
  if (ended)
    open(`ended ${session}`, element("h2", "This session has ended."), element("p", `What was recorded of ${session} lies in the data folder.`));
  else open(`waiting ${session}`, element("h2", "Waiting for the first picture"), element("p", `Session ${session} is open; nothing was scanned yet.`));
}

export function disconnected() {
  open("disconnected", element("h2", "The page has lost the service."),
    element("p", "It tries again by itself. The microscope’s frames are not concerned: they do not pass through here."));
}

export function unreachable() {
  open("unreachable", element("h2", "The acquire process does not answer."),
    element("p", "No frames are taken at the moment. It is started again within seconds; clients send again what was not safe."));
}
