// The access token: from the address's fragment once, then kept for this tab only; asked for where it is missing or
// does not hold any more.
import { $, make } from "./dom.js";

const KEY = "scanmend-token";

// The token that the address gives, "" where it gives none; taken out of the address.
export function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return given;
}

export function takeToken() {
  return fromAddress() || (sessionStorage.getItem(KEY) ?? "");
}

export function keepToken(token) {
  sessionStorage.setItem(KEY, token);
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

// Ask for it over whatever is shown, which stays. why: "missing", "wrong", or "expired" where the page had the right one.
export function askToken(why, give) {
  const dialog = $("token");
  const input = make("input", { type: "password", placeholder: "access token", autocomplete: "off", required: true, "aria-label": "Access token" });
  const form = make("form", {}, input, make("button", { type: "submit" }, "Open"));
  form.onsubmit = (event) => {
    event.preventDefault();
    give(input.value.trim());
  };
  const title = { missing: "The page needs the access token.", wrong: "This is not the service’s token.", expired: "The access token was changed." }[why];
  dialog.replaceChildren(
    make("h2", { id: "token-title" }, title),
    make("p", {}, why === "expired" ? "The new one is in the file" : "The service printed an address with the token when it started. The token is also in the file"),
    make("code", {}, "access-token"),
    make("p", {}, "of its data folder (scanmend-data, if nothing else was chosen). The file read-token has one that lets you watch only."),
    form,
  );
  dialog.oncancel = (event) => event.preventDefault(); // there is nothing to go on with
  if (!dialog.open) dialog.showModal();
  input.focus();
}

export function tokenTaken() {
  if ($("token").open) $("token").close();
}
