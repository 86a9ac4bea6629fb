// What stands over the pictures when there is nothing to show: no session, no picture, no service.
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

export function noSession(address) {
  open(`session ${address}`,
    element("h2", "No microscope is connected."),
    element("p", "Try it with a simulated one, in a terminal:"),
    element("code", "scanmend simulate"),
    element("p", "or everything at once, with a service of its own:"),
    element("code", "scanmend demo"),
    element("p", `Your own control software connects to ${address || "the service’s address"}.`));
}

// `channel`: one that is not restored, where such a one is to be shown, else "".
export function waiting({ name, state, account }, engine, channel) {
  if (state === "ended")
    open(`ended ${name}`, element("h2", "This session has ended."), element("p", `What was recorded of ${name} is among the sessions.`));
  else if (state === "waiting")
    open(`start ${name}`, element("h2", "The microscope waits for Start."), element("p", `Session ${name} is open; the scan begins when somebody presses Start.`));
  else if (channel)
    open(`channel ${name} ${channel}`, element("h2", `Waiting for channel ${channel}`), element("p", "What its detector gave is shown as soon as it is at hand, at the latest with the next frame."));
  else if (engine === "starting")
    open(`engine ${name}`, element("h2", "The models are being loaded."), element("p", `Frames of session ${name} are taken meanwhile. The first picture is shown when the models are ready.`));
  else if (account.received)
    open(`next ${name}`, element("h2", "Waiting for the next picture"), element("p", `Frames of session ${name} came before this page was opened. The next one is shown.`));
  else open(`waiting ${name}`, element("h2", "Waiting for the first picture"), element("p", `Session ${name} is open; nothing was scanned yet.`));
}

export function disconnected() {
  open("disconnected", element("h2", "The page has lost the service."),
    element("p", "It tries again by itself. The microscope’s frames are not concerned: they do not pass through here."));
}

export function unreachable() {
  open("unreachable", element("h2", "The acquire process does not answer."),
    element("p", "No frames are taken at the moment. It is started again within seconds; clients send again what was not safe."));
}
