// Puts the page together: token, live socket, pictures, commands, views.
import { Alarm } from "./alarm.js";
import { api } from "./api.js";
import { closeCard, disconnected, noSession, unreachable, waiting } from "./cards.js";
import { Control } from "./commands.js";
import { $ } from "./dom.js";
import { DoseDialog } from "./dose.js";
import { showFigures } from "./figures.js";
import { showHeader } from "./header.js";
import { HealthView } from "./health.js";
import { History } from "./history.js";
import { listen, showKeys } from "./keys.js";
import { Live } from "./live.js";
import { LogView } from "./log.js";
import { ModelsView, showCard } from "./models.js";
import { PictureSide } from "./picture_side.js";
import { Problems } from "./problems.js";
import { ProposalBand } from "./proposal.js";
import { SessionsView } from "./sessions.js";
import { drawSpark } from "./spark.js";
import { themes } from "./theme.js";
import { askToken, forgetToken, fromAddress, keepToken, takeToken, tokenTaken } from "./token.js";
import { Views } from "./views.js";

const OTHER_CHANNEL = "other_channel"; // why a picture is not restored, although its session is
const LOST_MS = 10_000; // after so long without the service the page itself is an alarm

const page = {
  token: takeToken(), live: null, status: {}, connected: false, role: "operate", chosen: "", picked: "",
  header: null, // of the newest picture
  held: null, // a picture that came while another view was shown
  lostAt: 0, // when the service was lost, Unix seconds; 0 while it is there
  session: () => page.status.sessions?.[page.chosen],
  channel: () => pictures.channels.asked(page.session()), // that is shown; "" for the restored one
  pick(name) {
    page.picked = name;
    choose();
    render();
  },
};

const pictures = new PictureSide({
  ready: () => page.live?.ready(), // the next picture may come
  want: (planes) => page.live?.want(planes),
  changed: () => render(),
  turned() {
    page.header = page.held = null;
    page.live?.watch(page.chosen, page.channel());
    if (views.now !== "live") page.live?.ready();
    render();
  },
});
const control = new Control(page, () => render());
const proposal = new ProposalBand(page, () => render());
const history = new History();
const problems = new Problems(() => render());
const alarm = new Alarm(() => problems.acknowledge());
const dose = new DoseDialog(page, (on) => {
  page.live?.also("dose", on);
  if (on && page.held) page.live?.ready();
}, () => pictures.lay("dose"));
const health = new HealthView(page, history);
const views = new Views(
  { sessions: new SessionsView(page), models: new ModelsView(page), health, log: new LogView(page) },
  () => {
    if (views.now === "live" && page.held) pictures.arrive(page.held);
    if (views.now === "live") page.held = null;
    render();
  },
);

api.refused = () => refused(api.token);

function connect() {
  const before = page.live;
  before?.close();
  closeCard();
  api.token = page.token;
  let greeted = false;
  page.live = new Live(page.token, {
    role(role) {
      page.role = role;
    },
    status(status) {
      greeted = true;
      tokenTaken();
      page.connected = true;
      page.lostAt = 0;
      page.status = status;
      choose();
      history.take(page.session());
      render();
    },
    picture: take,
    lost,
    refused: () => refused(page.token, greeted),
  }, page.chosen, page.channel());
  if (before) Object.assign(page.live, { planes: before.planes, extra: before.extra });
}

function lost() {
  page.connected = false;
  page.lostAt ||= Date.now() / 1000;
  render();
}

// The token does not hold, or not any more. What is shown stays; the page asks for another one over it.
function refused(token, expired = page.connected) {
  if (!page.token || token !== page.token) return;
  page.live?.close();
  page.connected = false;
  page.token = "";
  forgetToken();
  render();
  askToken(expired ? "expired" : "wrong", useToken);
}

function useToken(token) {
  page.token = token;
  keepToken(token);
  connect();
}

function take(picture) {
  const { session, channel } = picture.header;
  if (session !== page.chosen || (channel && channel !== pictures.channels.shown)) return page.live.ready();
  page.header = picture.header;
  dose.take(picture);
  if (views.now === "live") return pictures.arrive(picture);
  page.held = picture; // no other is asked for until the pictures are shown again
  if (dose.open) setTimeout(() => page.live?.ready(), 1000);
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
  page.header = page.held = null;
  pictures.forget();
  history.choose(wanted);
  page.live.watch(wanted, pictures.channels.asked(sessions[wanted]));
  if (views.now !== "live") page.live.ready();
}

function render() {
  const { status, connected } = page;
  const session = page.session();
  const reachable = connected && status.state !== "unreachable";
  document.body.classList.toggle("stale", !reachable);
  const old = pictures.tell(status, session, !reachable);
  showHeader(status, session, connected, Boolean(page.token), Boolean(old));
  control.show(session, reachable);
  proposal.show(reachable ? session : null, page.role === "operate");
  dose.show(session, reachable);
  health.tell(session);
  showFigures(session, Boolean(old) || (page.header?.restored === false && page.header.reason !== OTHER_CHANNEL));
  drawSpark($("latency").querySelector("canvas"), history.samples);
  alarm.show(problems.show(troubles(), page.chosen));
  document.title = alarm.prefix + [views.title, session?.name, "Scanmend"].filter(Boolean).join(" — ");
  cover(session);
}

// What the service knows to be amiss; where the service is gone, that.
function troubles() {
  if (page.connected) return page.status.problems;
  if (!page.lostAt || Date.now() / 1000 - page.lostAt < LOST_MS / 1000 || !page.token) return [];
  return [{
    level: "error", code: "page_lost", session: "", count: 1, since_unix_s: page.lostAt,
    text: "The page has lost the service.", mend: "Look whether it runs: `scanmend check`. Scans are not stopped by that.",
  }];
}

function cover(session) {
  if (!page.token) return;
  if (!page.connected) disconnected();
  else if (page.status.state === "unreachable") unreachable();
  else if (!session) noSession(page.status.address);
  else if (!pictures.shown) waiting(session, page.status.engine?.state, pictures.channels.asked(session));
  else closeCard();
}

$("session").onchange = (event) => page.pick(event.target.value);
$("help").onclick = showKeys;
$("open-dose").onclick = () => dose.ask();
$("open-card").onclick = () => showCard(page.session()?.model, page.session()?.caution);
listen([
  ...pictures.keys(),
  ...control.keys(),
  ...proposal.keys(),
  { keys: [{ key: "d", name: "D" }], about: "Dose by area, rescan policy and budget", act: () => dose.ask() },
  { keys: [{ key: "k", name: "K" }], about: "Acknowledge the alarm", act: () => problems.acknowledge() },
  { keys: [{ key: "?", name: "?" }], about: "These keys", act: showKeys },
], () => views.now);
themes($("theme"), () => {
  health.redraw();
  render();
});
window.addEventListener("hashchange", () => {
  const given = fromAddress();
  if (given) useToken(given);
});

setInterval(render, 5000); // how long problems stand; and what goes wrong when nothing comes
views.follow();
if (page.token) connect();
else {
  render();
  askToken("missing", useToken);
}
