// Puts the page together: token, live socket, panes, controls.
import { Age } from "./age.js";
import { askToken, closeCard, disconnected, noSession, unreachable, waiting } from "./cards.js";
import { command, toast } from "./commands.js";
import { showFigures } from "./figures.js";
import { showHeader } from "./header.js";
import { LevelControls } from "./histogram.js";
import { ask, listen, showKeys } from "./keys.js";
import { Levels, quantile } from "./levels.js";
import { Live } from "./live.js";
import { Panes } from "./panes.js";
import { follow } from "./pointer.js";
import { showProblems } from "./problems.js";
import { forgetToken, keepToken, takeToken } from "./token.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const page = { token: takeToken(), live: null, status: {}, connected: false, chosen: "", picked: "", dirty: true, arrived: null, painted: 0 };

const repaint = () => {
  page.dirty = true;
};
const levels = new Levels(repaint);
const view = new View(repaint);
const panes = new Panes(view, levels);
const controls = new LevelControls(levels);
const age = new Age();

const session = () => page.status.sessions?.[page.chosen];

function connect() {
  page.live?.close();
  closeCard();
  page.live = new Live(page.token, {
    status(status) {
      page.connected = true;
      page.status = status;
      choose();
      render();
    },
    picture(picture) {
      if (picture.header.session === page.chosen) page.arrived = picture;
      else page.live.ready();
    },
    lost() {
      page.connected = false;
      render();
    },
    refused() {
      page.connected = false;
      page.token = "";
      forgetToken();
      render();
      askToken(true, useToken);
    },
  });
}

function useToken(token) {
  page.token = token;
  keepToken(token);
  connect();
}

// Keep what the operator picked while it is there; else go with the newest open session.
function choose() {
  const { sessions = {}, order = [] } = page.status;
  const now = sessions[page.picked || page.chosen];
  const stay = now && (page.picked || now.state !== "ended" || sessions[order[0]].state === "ended");
  const wanted = stay ? now.name : order[0] ?? "";
  if (!now) page.picked = "";
  if (wanted === page.chosen) return;
  page.chosen = wanted;
  page.arrived = null;
  age.forget();
  panes.forget();
  levels.fresh = true;
  page.live.watch(wanted);
  repaint();
}

function render() {
  const { status, connected } = page;
  const current = session();
  const stale = !connected || status.state === "unreachable";
  document.body.classList.toggle("stale", stale);
  const old = stale ? "" : age.why(status, current);
  panes.age(old);
  showHeader(status, current, connected, Boolean(page.token), Boolean(old));
  showFigures(current);
  showProblems(connected ? status.problems : [], page.chosen);
  document.title = current ? `${current.name} — Scanmend` : "Scanmend";
  if (current && current.field.pixel_size_nm !== panes.pixelSizeNm) {
    panes.pixelSizeNm = current.field.pixel_size_nm;
    repaint();
  }
  panes.unit = controls.unit = unitOf(current, panes.picture);
  if (!page.token || $("card").dataset.kind === "token") return;
  if (!connected) disconnected();
  else if (status.state === "unreachable") unreachable();
  else if (!current) noSession(status.address);
  else if (!panes.picture) waiting(current.name, current.state === "ended");
  else closeCard();
}

// Electrons where the detector's gain is known; else what the detector gives, which has no name.
function unitOf(session, picture) {
  const channel = session?.channels.find(({ name }) => name === session.restore_channel) ?? session?.channels[0];
  return channel?.units_per_electron && picture?.header.restored ? "e⁻" : "units";
}

function takePicture(picture) {
  age.reset();
  const first = !panes.picture;
  const { planes } = picture;
  if (planes.sigma) {
    const top = quantile(planes.sigma, 0.99);
    panes.sigmaTop += (first || !panes.sigmaTop ? 1 : 0.2) * (top - panes.sigmaTop);
  }
  const main = planes.estimate ?? planes.raw;
  if (main) levels.take(main);
  panes.show(picture);
  panes.stage.dataset.number = picture.header.number;
  if (first) render();
  repaint();
}

function frame() {
  requestAnimationFrame(frame);
  const arrived = page.arrived;
  page.arrived = null;
  if (arrived) {
    page.live.ready(); // the next may come while this one is painted; a page in the background asks for none
    takePicture(arrived);
  }
  if (page.dirty) {
    page.dirty = false;
    panes.paint();
    controls.show();
    $("zoom").value = panes.picture ? `${Math.round(100 * view.zoom)} %` : "";
  }
  if (arrived) panes.stage.dataset.painted = ++page.painted;
}

function toggle(id, name) {
  if ($(id).hidden) return;
  panes[name] = !panes[name];
  $(id).setAttribute("aria-pressed", panes[name]);
  panes.label();
  repaint();
}

async function stop() {
  if ($("stop").disabled) return;
  $("stop").disabled = true;
  const wrong = await command(page.token, page.chosen, "stop");
  toast(wrong || "Stop sent: the pass is finished first.");
}

async function abort() {
  if ($("abort").disabled) return;
  const dialog = $("confirm");
  dialog.querySelector("p b").textContent = page.chosen;
  if ((await ask(dialog)) !== "yes") return;
  $("abort").disabled = true;
  const wrong = await command(page.token, page.chosen, "abort");
  toast(wrong || "Abort sent: the beam is blanked.");
}

$("session").onchange = (event) => {
  page.picked = event.target.value;
  choose();
  render();
};
$("stop").onclick = stop;
$("abort").onclick = abort;
$("help").onclick = showKeys;
$("uncertainty").onclick = () => toggle("uncertainty", "overlay");
$("bins").onclick = () => toggle("bins", "binning");
$("swap").onclick = () => toggle("swap", "swapped");
$("fit").onclick = () => view.fit();

for (const side of panes.sides)
  follow(side, view, (at) => {
    panes.cursor = at;
    panes.read();
  });

const PAN = 60;
const ARROWS = { ArrowLeft: [PAN, 0], ArrowRight: [-PAN, 0], ArrowUp: [0, PAN], ArrowDown: [0, -PAN] };
listen([
  { keys: [{ key: " ", name: "Space" }], about: "Swap the sides", act: () => toggle("swap", "swapped") },
  { keys: [{ key: "u", name: "U" }], about: "Uncertainty over the restored picture", act: () => toggle("uncertainty", "overlay") },
  { keys: [{ key: "b", name: "B" }], about: "Samples of a sparse scan in bins, or each by itself", act: () => toggle("bins", "binning") },
  { keys: [{ key: "a", name: "A" }], about: "Levels from this picture", act: () => levels.auto() },
  { keys: [{ key: "A", name: "Shift A", shift: true }], about: "Let the levels follow, or hold them", act: () => levels.follow(!levels.following) },
  { keys: [{ key: "0", name: "0" }], about: "Whole field", act: () => view.fit() },
  { keys: [{ key: "1", name: "1" }], about: "One screen pixel for a pixel", act: () => view.zoomBy(1 / view.zoom) },
  { keys: [{ key: "+", name: "+" }, { key: "=", shown: false }], about: "Zoom in", act: () => view.zoomBy(1.25) },
  { keys: [{ key: "-", name: "−" }], about: "Zoom out", act: () => view.zoomBy(0.8) },
  { keys: Object.keys(ARROWS).map((key, i) => ({ key, name: "←→↑↓"[i] })), about: "Move", act: ({ key }) => view.panBy(...ARROWS[key]) },
  { keys: [{ key: "Escape", name: "Esc" }], about: "Abort the scan (asks first)", act: abort },
  { keys: [{ key: "?", name: "?" }], about: "These keys", act: showKeys },
]);

new ResizeObserver(repaint).observe(panes.stage);
setInterval(() => page.connected && showProblems(page.status.problems, page.chosen), 5000);
if (page.token) connect();
else {
  render();
  askToken(false, useToken);
}
requestAnimationFrame(frame);
