// Which of a session's channels is shown. The choice is kept from one session to the next that has such a channel.
import { $, announce, make } from "./dom.js";

export class Channels {
  // changed(): another channel is to be shown from now on.
  constructor(changed) {
    this.changed = changed;
    this.picked = ""; // what the operator chose last; "" for the one that is restored
    this.session = null;
    this.listed = "";
    $("channel").onchange = () => this.pick($("channel").value);
  }

  get names() {
    return (this.session?.channels ?? []).map(({ name }) => name);
  }

  // The name of the channel that is to be shown.
  get shown() {
    return this.names.includes(this.picked) ? this.picked : this.session?.restore_channel ?? "";
  }

  // What the service is asked for: "" is the restored channel, whatever its name.
  asked(session) {
    this.session = session ?? null;
    return this.shown === session?.restore_channel ? "" : this.shown;
  }

  // The channel that a picture is of, as the session describes it.
  of(header) {
    const { channels = [], restore_channel } = this.session ?? {};
    const name = header?.channel || this.shown || restore_channel;
    return channels.find((channel) => channel.name === name) ?? channels[0] ?? null;
  }

  tell(session) {
    this.session = session ?? null;
    const { names } = this;
    const listed = JSON.stringify([names, session?.restore_channel]);
    if (listed !== this.listed) {
      this.listed = listed;
      $("channels").hidden = names.length < 2;
      $("channel").replaceChildren(...names.map((name) => make("option", { value: name }, name === session.restore_channel ? `${name}, restored` : name)));
    }
    if ($("channel").value !== this.shown) $("channel").value = this.shown;
  }

  pick(name) {
    if (name === this.shown) return;
    this.picked = name;
    $("channel").value = name;
    announce(`Channel ${name}${name === this.session.restore_channel ? ", restored" : ", not restored"}`);
    this.changed();
  }

  next() {
    const { names } = this;
    if (names.length > 1) this.pick(names[(names.indexOf(this.shown) + 1) % names.length]);
  }
}
