/** The API, relative to where this file came from, so that a path in front of everything does not matter. */

const BASE = new URL(".", document.baseURI);
const TOKEN = "baton.token";
const PATIENCE = 30_000;
const SLOWEST = 100; // bytes that a millisecond sends at least

/** The server said no: `code` is the stable word for why, `body` all it said. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.message || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code || "";
    this.body = body;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {
  constructor() {
    super("The server can’t be reached.");
    this.code = "unreachable";
  }
}

let askForToken = async () => {};

/** `ask` is called when the server wants a token, and again when it does not know the one it got. */
export function onTokenWanted(ask) {
  let asking = null;
  askForToken = (refused) => (asking ??= ask(refused).finally(() => (asking = null)));
}

/** Kept for this tab, or for this browser if its user wants that. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN) || localStorage.getItem(TOKEN) || "",
  set: (value, { stays = false } = {}) => (stays ? localStorage : sessionStorage).setItem(TOKEN, value),
  forget: () => [sessionStorage, localStorage].forEach((kept) => kept.removeItem(TOKEN)),
};

/** The JSON of an answer. Refused, Unreachable. Waits while the user types a token. */
export const call = async (method, path, body, headers) => (await ask(method, path, body, headers)).json;

/** One page of a list, and the path of the next one: null if there is none. */
export async function getPage(path) {
  const { json: items, response } = await ask("GET", path);
  const next = /^<([^>]+)>/.exec(response.headers.get("Link") ?? "")?.[1];
  return { items, next: next ? path.replace(/[^/]*$/, next) : null };
}

async function ask(method, path, body, headers = {}) {
  const stop = new AbortController();
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const timer = setTimeout(() => stop.abort(), PATIENCE + (sent.body?.length ?? 0) / SLOWEST);
  try {
    if (sent.body) headers = { "Content-Type": "application/json", ...headers };
    const response = await open(path, { method, headers, signal: stop.signal, ...sent });
    return { response, json: await response.json() };
  } catch (error) {
    throw error instanceof Refused ? error : new Unreachable();
  } finally {
    clearTimeout(timer);
  }
}

/** A response that is all right, not yet read. Refused; what `fetch` throws when nobody answers. */
export async function open(path, options = {}) {
  for (;;) {
    const sent = token.get();
    const headers = { ...options.headers, ...(sent ? { Authorization: `Bearer ${sent}` } : {}) };
    const response = await fetch(new URL(path, BASE), { ...options, headers, cache: "no-store" });
    if (response.ok) return response;
    if (response.status !== 401) throw new Refused(response.status, await json(response));
    if (token.get() === sent) await askForToken(Boolean(sent));
  }
}

async function json(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}, headers = {}) => call("POST", path, body, headers);

/** A key that makes it safe to send the same request again; also where the page came without TLS. */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Posts once in effect: when nobody answers it is sent again under the same key, at most three times. */
export async function postOnce(path, body) {
  const headers = { "Idempotency-Key": freshKey() };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await post(path, body, headers);
    } catch (error) {
      if (!(error instanceof Unreachable) || attempt === 3) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * attempt));
    }
  }
}
