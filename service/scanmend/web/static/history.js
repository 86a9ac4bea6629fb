// How the chosen session went in the last minutes, a sample a second: from the service's memory, then from the status.
import { getJson } from "./api.js";
import { sum } from "./format.js";

export const LENGTH_S = 600;

export class History {
  constructor() {
    this.choose("");
  }

  choose(name) {
    this.name = name;
    this.samples = []; // as the API has them: {unix_s, p50_ms, p95_ms, frames_in, frames_out, queued, dropped}
    this.before = null;
    if (name) this.load(name);
  }

  // What the service remembers; where it remembers nothing, the line begins now.
  async load(name) {
    try {
      const { samples } = await getJson(`/api/v1/sessions/${encodeURIComponent(name)}/history?seconds=${LENGTH_S}`);
      if (this.name !== name) return;
      const first = this.samples[0]?.unix_s ?? Infinity;
      this.samples = [...samples.filter(({ unix_s }) => unix_s < first - 0.5), ...this.samples];
    } catch {
      // told where it matters: the status comes over the socket
    }
  }

  // Take the status' word, once a second.
  take(session) {
    if (!session || session.name !== this.name || session.state === "ended") return;
    const unix_s = Date.now() / 1000;
    if (unix_s - (this.samples.at(-1)?.unix_s ?? 0) < 1) return;
    const lost = sum(session.account.dropped) - (session.account.dropped.returns_none ?? 0) + session.account.dropped_by_client;
    const passed = this.before ? unix_s - this.before.unix_s : 1;
    const dropped = this.before ? Math.max(0, lost - this.before.lost) / passed : 0;
    this.before = { unix_s, lost };
    this.samples.push({
      unix_s, p50_ms: session.latency_ms.p50 ?? null, p95_ms: session.latency_ms.p95 ?? null,
      frames_in: session.frames_per_s_in, frames_out: session.frames_per_s_out, queued: session.queued, dropped,
    });
    while (this.samples.length && this.samples[0].unix_s < unix_s - LENGTH_S) this.samples.shift();
  }
}
