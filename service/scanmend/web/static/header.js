// The header: session picker, field, state.
import { $, setText } from "./dom.js";
import { figure } from "./format.js";
import { lengthText } from "./scalebar.js";

const ENDS = { finished: "Finished", stopped: "Stopped", aborted: "Aborted", abandoned: "Abandoned" };
const COMMANDED = { start: "Starting", stop: "Stopping", abort: "Aborting" };

export function showHeader(status, session, connected, token, old) {
  showPicker(status, session);
  const field = session ? fieldText(session.field) : "";
  setText($("field"), field);
  $("field").title = field;
  const [kind, text] = token ? stateOf(status, session, connected, old) : ["", "Locked"];
  $("state").className = kind;
  setText($("state").lastElementChild, text);
}

function showPicker(status, session) {
  const picker = $("session");
  const names = status.order ?? [];
  const label = (name) => (status.sessions[name].state === "ended" ? `${name} (ended)` : name);
  const wanted = names.length ? names.map((name) => [name, label(name)]) : [["", "no session"]];
  const same = wanted.length === picker.options.length
    && wanted.every(([value, text], i) => picker.options[i].value === value && picker.options[i].text === text);
  if (!same) picker.replaceChildren(...wanted.map(([value, text]) => new Option(text, value)));
  picker.value = picker.title = session?.name ?? "";
  picker.disabled = !names.length;
}

function fieldText(field) {
  const [ny, nx] = field.shape;
  const parts = [`${nx} × ${ny}`, `${lengthText(nx * field.pixel_size_nm)} wide`, `${lengthText(field.pixel_size_nm)} a pixel`];
  if (field.beam_current_pa) parts.push(`${figure(field.beam_current_pa)} pA`);
  if (field.beam_energy_kev) parts.push(`${figure(field.beam_energy_kev)} kV`);
  return parts.join("  ·  ");
}

function stateOf(status, session, connected, old) {
  if (!connected) return ["bad", "Disconnected"];
  if (status.state === "unreachable") return ["bad", "Unreachable"];
  if (!session) return ["", "Stopped"];
  const { state, commanded } = session;
  if (state === "ended") return [session.account.reason === "abandoned" ? "bad" : "", ENDS[session.account.reason] ?? "Ended"];
  if (state === "detached") return ["warn", "Microscope silent"];
  if (state === "ending") return ["warn", "Ending"];
  if (state === "waiting") return ["", commanded?.action in COMMANDED ? COMMANDED[commanded.action] : "Waiting for Start"];
  if (commanded?.action === "stop" || commanded?.action === "abort") return ["warn", COMMANDED[commanded.action]];
  if (session.paused) return ["warn", "Paused"];
  if (session.frames_per_s_in === 0) return ["", session.proposal?.awaits === "operator" ? "Rescan proposed" : "Waiting"];
  return old ? ["warn", "Acquiring, unrestored"] : ["good", "Acquiring"];
}
