// Speaks to the service: one call, one stream of events, one kind of failure. Draws nothing.

const KEY = "myopia-key";
let told = () => {};
let paths = new Set();

/** Anything that went wrong, as RFC 9457 tells it; `code` is what callers branch on. */
export class Trouble extends Error {
  constructor(problem, retryAfter = null) {
    super(problem.detail || problem.title || problem.code);
    this.problem = problem;
    this.code = problem.code;
    this.retryAfter = retryAfter;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) || "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** Takes in which paths the service's OpenAPI document names; `offers` then tells. */
export const offer = (named) => { paths = new Set(named); };
export const offers = (path) => paths.has(path);

/** `listener(code)` hears when the service refuses for want of a key. */
export function onKeyWanted(listener) {
  told = listener;
}

/** One request; the Response when it went well, else a Trouble is thrown. */
export async function call(method, path, { json, body, headers = {}, signal, accept } = {}) {
  const all = { ...headers };
  if (json !== undefined) all["Content-Type"] = "application/json";
  if (accept) all.Accept = accept;
  if (key.get()) all.Authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, { method, headers: all, signal, body: json === undefined ? body : JSON.stringify(json) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble({ code: "unreachable", detail: "The service does not answer at this address." });
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401 || response.status === 403) told(problem.code);
  throw new Trouble(problem, response.headers.get("Retry-After"));
}

async function problemOf(response) {
  try {
    const said = await response.json();
    if (said && said.code) return said;
  } catch { /* not JSON: told by its status alone */ }
  return { code: `http_${response.status}`, status: response.status, detail: response.statusText };
}

/** The server-sent events of a response: {id, event, data} with data parsed. */
export async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest = (rest + value).replace(/\r\n?/g, "\n");
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const event = eventOf(rest.slice(0, end));
      rest = rest.slice(end + 2);
      if (event) yield event;
    }
  }
}

function eventOf(block) {
  const found = { id: null, event: "message", data: [] };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue; // a ping, or a field without a value
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") found.data.push(value);
    else if (name === "id" || name === "event") found[name] = value;
  }
  return found.data.length ? { ...found, data: JSON.parse(found.data.join("\n")) } : null;
}
