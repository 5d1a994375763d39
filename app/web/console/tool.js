/** A tool call: what was asked for, whether it may run, and what came of it. */

import { replacements } from "./diff.js";
import { h } from "./dom.js";
import { stateWords } from "./outcomes.js";
import { longText, picture } from "./pieces.js";
import { revealed } from "./words.js";

// The argument that says most about a call; others are in its details.
const TELLING = ["cmd", "command", "path", "file_path", "url", "query", "task", "pattern", "message", "thought"];

const SHOWN = 4000; // characters of a text before its end is folded away
const SHOWN_LIVE = 8000; // characters; the result has all of it

export class ToolView {
  constructor(item) {
    this.state = h("span", { class: "state" });
    this.gist = h("code", { class: "gist" });
    this.name = h("span", { class: "name" });
    this.body = h("div", { class: "body" });
    this.live = h("pre", { class: "output live", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Output so far" });
    this.summary = h("summary", {}, h("span", { class: "dot" }), this.name, this.gist, this.state);
    this.node = h("details", { class: "call", data: { depth: item.depth } }, this.summary, this.body);
    this.node.addEventListener("toggle", () => this.open());
    this.update(item);
  }

  update(item) {
    this.item = item;
    this.node.dataset.state = item.state;
    this.name.textContent = revealed(item.name);
    this.gist.textContent = revealed(gist(item.arguments));
    this.state.textContent = stateWords(item);
    if (!this.grow()) this.open();
  }

  /** While only more output comes, nothing else is built again: what is selected or scrolled stays. */
  grow() {
    const text = revealed((this.item.live ?? "").slice(-SHOWN_LIVE));
    const grows = Boolean(text) && this.live.isConnected && this.node.open;
    const atEnd = this.live.scrollHeight - this.live.scrollTop - this.live.clientHeight < 8;
    if (this.live.textContent !== text) this.live.textContent = text;
    if (grows && atEnd) this.live.scrollTop = this.live.scrollHeight;
    return grows;
  }

  /** Details are built when they are looked at. */
  open() {
    if (!this.node.open) return this.body.replaceChildren();
    const { item } = this;
    const parts = [...change(item), h("h3", {}, "Arguments"), ...longText(revealed(indented(item.arguments)) || "none", SHOWN, "Copy arguments")];
    if (item.live) parts.push(h("h3", {}, "Output so far"), this.live);
    if (item.output) parts.push(h("h3", {}, "Result"), ...longText(item.output, SHOWN, "Copy output"));
    if (item.images?.length) parts.push(...item.images.map(picture));
    this.body.replaceChildren(...parts);
  }
}

const MOST_EDITED = 20_000; // characters that are shown line by line; the arguments have all

/** Of a call that replaces texts in a file: the lines that go, and those that come. */
function change(item) {
  const edits = parsed(item.arguments)?.edits;
  if (item.name !== "edit_file" || !Array.isArray(edits) || item.arguments.length > MOST_EDITED) return [];
  const pairs = edits.map((edit) => [String(edit?.oldText ?? ""), String(edit?.newText ?? "")]);
  return [h("h3", {}, "Change"), replacements(pairs, "Change")];
}

/** The arguments in one line. */
export function gist(text) {
  const given = parsed(text);
  if (given === null) return text.slice(0, 200);
  const name = TELLING.find((one) => typeof given[one] === "string");
  const line = name ? given[name] : Object.keys(given).length ? JSON.stringify(given) : "";
  return line.replace(/\s+/g, " ").slice(0, 200);
}

export function indented(text) {
  const given = parsed(text);
  return given === null ? text : JSON.stringify(given, null, 2);
}

function parsed(text) {
  try {
    const value = JSON.parse(text || "{}");
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
