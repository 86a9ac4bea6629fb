// The live socket: keeps itself connected, merges status patches, hands out pictures.
import { parsePicture } from "./picture.js";

const BAD_TOKEN = 4401;
const FIRST_RETRY_MS = 400;
const LAST_RETRY_MS = 4000;

// RFC 7396, in place of a copy of the part that changed.
export function merge(old, patch) {
  const merged = { ...old };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else if (typeof value === "object" && !Array.isArray(value)) {
      const before = merged[key];
      merged[key] = merge(before && typeof before === "object" && !Array.isArray(before) ? before : {}, value);
    } else merged[key] = value;
  }
  return merged;
}

export class Live {
  // on: {role(role), status(status), picture(picture), lost(), refused()}
  constructor(token, on, session = "", channel = "") {
    Object.assign(this, { token, on, session, channel });
    this.extra = new Set(); // planes that something beside the pictures wants
    this.planes = ["raw", "estimate", "sigma"];
    this.retryMs = FIRST_RETRY_MS;
    this.socket = null;
    this.open();
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/v1/live`);
    socket.binaryType = "arraybuffer";
    let status = {};
    socket.onopen = () => {
      socket.send(JSON.stringify({ token: this.token }));
      this.send({ session: this.session, channel: this.channel, planes: this.wanted(), ready: true });
    };
    socket.onmessage = (event) => {
      this.retryMs = FIRST_RETRY_MS;
      if (typeof event.data !== "string") return this.on.picture(parsePicture(event.data));
      const message = JSON.parse(event.data);
      if (message.type === "welcome") return this.on.role(message.role);
      status = merge(status, message.patch);
      this.on.status(status);
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      if (event.code === BAD_TOKEN) return this.on.refused();
      this.on.lost();
      setTimeout(() => this.socket === socket && this.open(), this.retryMs);
      this.retryMs = Math.min(LAST_RETRY_MS, this.retryMs * 1.7);
    };
    this.socket = socket;
  }

  // `channel`: "" for the one that is restored.
  watch(session, channel) {
    Object.assign(this, { session, channel });
    this.send({ session, channel });
  }

  // Other planes from the next picture on; they are kept when the socket is opened again.
  want(planes) {
    this.planes = planes;
    this.send({ planes: this.wanted() });
  }

  // One more plane, for as long as it is wanted. Choosing the session anew lets the present picture come again with it.
  also(plane, on) {
    if (on) this.extra.add(plane);
    else this.extra.delete(plane);
    this.send(on ? { planes: this.wanted(), session: this.session } : { planes: this.wanted() });
  }

  wanted() {
    return [...new Set([...this.planes, ...this.extra])];
  }

  // "I can take another": the server answers with the newest picture there is then.
  ready() {
    this.send({ ready: true });
  }

  close() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
