/** A tool call: what was asked for, whether it may run, and what came of it. */

import { h } from "./dom.js";
import { longText, picture } from "./pieces.js";
import { revealed } from "./words.js";

const STATES = {
  writing: "Being written",
  asking: "Waiting for approval",
  running: "Running",
  done: "Done",
  failed: "Failed",
  rejected: "Rejected",
  stopped: "Stopped",
};

// The argument that says most about a call; others are in its details.
const TELLING = ["cmd", "command", "path", "file_path", "url", "query", "task", "pattern", "message", "thought"];

export class ToolView {
  constructor(item) {
    this.state = h("span", { class: "state" });
    this.gist = h("code", { class: "gist" });
    this.name = h("span", { class: "name" });
    this.body = h("div", { class: "body" });
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
    this.state.textContent = STATES[item.state];
    this.open();
  }

  /** Details are built when they are looked at. */
  open() {
    if (!this.node.open) return this.body.replaceChildren();
    const { item } = this;
    const parts = [h("h4", {}, "Arguments"), ...longText(revealed(indented(item.arguments)) || "none")];
    if (item.output) parts.push(h("h4", {}, "Result"), ...longText(item.output));
    if (item.images?.length) parts.push(...item.images.map(picture));
    this.body.replaceChildren(...parts);
  }
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
