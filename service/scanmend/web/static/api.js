// Requests to the API with the access token. A refused token is told to the page, which asks for another one.
export const api = { token: "", refused() {} };

// What the service answered in place of what was asked: its sentence and its mend.
export class ApiError extends Error {
  constructor(status, detail, mend = "", code = "") {
    super([detail, mend].filter(Boolean).join(" "));
    Object.assign(this, { status, detail, mend, code });
  }
}

// `once`: a word drawn for a command, by which the service knows it again and does not carry it out twice.
export async function request(path, { method = "GET", body, once, signal } = {}) {
  const headers = { Authorization: `Bearer ${api.token}` };
  if (once) headers["Idempotency-Key"] = once;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    // The browser keeps answers with an ETag and asks whether they still hold.
    response = await fetch(path, { method, headers, signal, cache: "no-cache", body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The service does not answer.", "For the beam, use the microscope’s own controls.");
  }
  if (response.ok) return response;
  if (response.status === 401) api.refused();
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(response.status, problem.detail ?? `The service answered ${response.status}.`, problem.mend,
    (problem.type ?? "").split(":").at(-1));
}

export async function getJson(path, options) {
  return (await request(path, options)).json();
}

export async function send(method, path, body, once) {
  const response = await request(path, { method, body, once });
  return response.status === 204 ? {} : response.json();
}

// `?a=1&b=2` of what is not empty.
export function query(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}

// An address for an <img> of what needs the token; the caller revokes it.
export async function objectUrl(path, options) {
  return URL.createObjectURL(await (await request(path, options)).blob());
}

// Let the browser save a small file, which goes through the page's memory.
export async function download(path, name) {
  const address = await objectUrl(path);
  follow(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// Have a file made, then let the browser fetch it by itself, however large it is: a ticket stands for the token. Gives its
// name.
export async function fetchMade(path, wish) {
  const { address, file } = await send("POST", path, wish);
  follow(address, file);
  return file;
}

function follow(address, name) {
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
