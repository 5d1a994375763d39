// Sends an operation from the page, as the token of the console's tab may.

import { Refused, onTokenWanted, open, token } from "../console/api.js";
import { askForToken, confirm } from "../console/dialogs.js";
import { announce, button, h } from "../console/dom.js";
import { Field, Unusable, resolve, sample } from "./request_fields.js";

const JSON_MEDIA = "application/json";
const MOST_SHOWN = 200_000; // characters of an answer; of a stream the last ones

// Besides DELETE: operations that stop work, or take back what can't be brought back.
const DESTROYS = /\/(batch\/delete|cancel|compact|release|stop-subtree|undo)$/;

onTokenWanted(async (refused) => {
  token.forget();
  const { value, ...how } = await askForToken(refused);
  token.set(value, how);
});

/** The next request asks for a token again, if the server wants one. */
export function forgetToken() {
  token.forget();
  announce("The token is forgotten");
}

export class TryIt {
  constructor(spec, path, method, described) {
    this.path = path;
    this.method = method.toUpperCase();
    this.asks = method === "delete" || DESTROYS.test(path);
    const parameters = (described.parameters ?? []).map((one) => resolve(spec, one));
    this.parameters = parameters.map((one) => {
      const about = (one.description ?? "").replaceAll("`", "");
      return [one.in, new Field(spec, one.name, one.schema, { required: one.required, about, where: one.in })];
    });
    this.bodyFields(spec, described.requestBody);
    this.send = h("button", { type: "submit", class: "button" }, this.asks ? "Send…" : "Send");
    this.stop = button("Stop", () => this.stopping?.abort(), { hidden: true });
    this.status = h("p", { class: "status", role: "status" });
    this.answer = h("pre", { class: "answer", tabindex: "0", hidden: true, "aria-label": "Answer" });
    this.node = h("form", { class: "try", novalidate: true, on: { submit: (event) => this.submit(event) } },
      h("h3", {}, "Try it"),
      this.parameters.map(([, field]) => field.node), this.whole?.node, this.properties?.map((field) => field.node),
      h("div", { class: "answers" }, this.send, this.stop), this.status, this.answer);
  }

  /** A field for each property; a body that is no object of one shape is one field. */
  bodyFields(spec, body) {
    if (!body) return;
    const { schema } = body.content[JSON_MEDIA];
    const { properties, required = [] } = resolve(spec, schema);
    if (properties) {
      this.properties = Object.entries(properties).map(([name, one]) =>
        new Field(spec, name, one, { required: required.includes(name), about: one.description, where: "body" }));
    } else {
      const start = JSON.stringify(sample(spec, schema), null, 2);
      this.whole = new Field(spec, "body", schema, { required: body.required, start });
    }
  }

  /** The request as `fetch` takes it. Unusable. */
  request() {
    let path = this.path.slice(1);
    const query = new URLSearchParams();
    const headers = {};
    for (const [where, field] of this.parameters) {
      const value = field.value();
      if (where === "path" && !value) field.fail(`${field.name} is required.`);
      if (value === undefined) continue;
      if (where === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(value));
      else if (where === "query") query.set(field.name, value);
      else headers[field.name] = value;
    }
    const options = { method: this.method, headers };
    const body = this.body();
    if (body !== undefined) {
      options.body = JSON.stringify(body);
      headers["Content-Type"] = JSON_MEDIA;
    }
    return [query.size ? `${path}?${query}` : path, options];
  }

  body() {
    if (this.whole) return this.whole.value();
    if (!this.properties) return undefined;
    const given = this.properties.map((field) => [field.name, field.value()]).filter(([, value]) => value !== undefined);
    return Object.fromEntries(given);
  }

  async submit(event) {
    event.preventDefault();
    let path, options;
    try {
      [path, options] = this.request();
    } catch (error) {
      if (error instanceof Unusable) return;
      throw error;
    }
    if (this.asks && !(await confirm("Send this request?", `${this.method} /${path} can’t be undone.`, "Send"))) return;
    this.busy(new AbortController());
    const begun = performance.now();
    const since = () => `${Math.round(performance.now() - begun).toLocaleString()} ms`;
    try {
      await this.show(await open(path, { ...options, signal: this.stopping.signal }), since);
    } catch (error) {
      if (error instanceof Refused) this.tell(`${error.status} · ${since()}`, JSON.stringify(error.body, null, 2));
      else this.status.textContent = this.stopping.signal.aborted ? `Stopped · ${since()}` : `No answer: ${error.message}`;
    } finally {
      this.busy(null);
    }
  }

  /** Shows an answer as it comes, and the time that it took when it has ended. */
  async show(response, since) {
    const line = `${response.status} ${response.statusText}`.trim();
    const media = response.headers.get("Content-Type") ?? "";
    this.tell(`${line} · ${since()}, and still coming`, "");
    if (media.startsWith(JSON_MEDIA)) {
      const text = await response.text();
      return this.tell(`${line} · ${since()}`, indented(text));
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) this.append(piece.value);
    this.status.textContent = `${line} · ${since()}`;
  }

  append(text) {
    const shown = this.answer.textContent.length + text.length;
    if (shown > MOST_SHOWN) this.answer.textContent = (this.answer.textContent + text).slice(-MOST_SHOWN);
    else this.answer.append(text);
    this.answer.hidden = false;
    this.answer.scrollTop = this.answer.scrollHeight;
  }

  tell(status, text) {
    this.status.textContent = status;
    this.answer.textContent = text.slice(0, MOST_SHOWN);
    this.answer.hidden = !text;
  }

  busy(stopping) {
    if (stopping) {
      this.stopping = stopping;
      this.tell("Sent …", "");
    }
    this.send.disabled = Boolean(stopping);
    this.stop.hidden = !stopping;
  }
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
