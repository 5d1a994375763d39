/** How one item of a conversation looks. Each view has a `node`, and `update` when its item changed. */

import { copyButton } from "./copy.js";
import { button, h } from "./dom.js";
import { MarkdownView } from "./markdown.js";
import { actionsOf } from "./message_actions.js";
import { parted } from "./message_content.js";
import { attachedFile, attachedPart } from "./pieces.js";
import { ToolView } from "./tool.js";
import { clock } from "./words.js";

const CUT = {
  cancelled: "Cut off: the run was stopped",
  failed: "Cut off: the run failed",
  retried: "Cut off: the turn was done again",
  refused: "The model refused this; it is not shown to it again",
  lost: "Not stored: the server’s process died while this was said",
};

export function viewOf(item) {
  switch (item.kind) {
    case "user":
      return new UserView(item);
    case "assistant":
      return new AssistantView(item);
    case "tool":
      return new ToolView(item);
    default:
      return new NoteView(item);
  }
}

class UserView {
  constructor(item) {
    this.said = new MarkdownView({ breaks: true });
    this.text = h("div", { class: "bubble" });
    this.node = frame(item, "user", "You", [copyMessage(() => this.item.text), actionsOf(item, () => this.item)], this.text);
    this.update(item);
  }

  update(item) {
    this.item = item;
    const { words, files } = parted(item.text);
    this.said.update(words);
    this.text.replaceChildren(
      words ? this.said.node : "",
      ...files.map(attachedFile),
      ...(item.parts ?? []).map(attachedPart),
      ...cut(item),
    );
  }
}

class AssistantView {
  constructor(item) {
    this.thinking = new Thinking();
    this.said = new MarkdownView();
    this.foot = h("div", { class: "foot" });
    this.copy = copyMessage(() => this.item.text);
    this.node = frame(item, "assistant", nameOf(item), [this.copy, actionsOf(item, () => this.item)], this.thinking.node, this.said.node, this.foot);
    this.update(item);
  }

  update(item) {
    this.item = item;
    this.copy.hidden = Boolean(item.streaming) || !item.text;
    const who = this.node.querySelector(".who");
    if (who.textContent !== nameOf(item)) who.textContent = nameOf(item);
    this.node.classList.toggle("streaming", Boolean(item.streaming));
    this.node.classList.toggle("lost", item.partial === "lost");
    this.thinking.update(item);
    if (item.streaming) this.said.follow(item.text);
    else this.said.update(item.text);
    stamp(this.node.querySelector("time"), item.time);
    this.foot.replaceChildren(...cut(item));
  }
}

/** An agent's thinking, folded up; while it thinks, the last words are seen. */
class Thinking {
  constructor() {
    this.label = h("summary", {}, "Thought");
    this.text = h("p", { class: "plain" });
    this.node = h("details", { class: "thinking", hidden: true }, this.label, this.text);
  }

  update(item) {
    this.node.hidden = !item.thinking;
    if (!item.thinking) return;
    this.label.textContent = item.streaming && !item.text ? "Thinking…" : "Thought";
    this.text.textContent = item.thinking;
  }
}

class NoteView {
  constructor(item) {
    this.node = h("div", { class: `note ${item.tone}`, data: { depth: item.depth } });
    this.update(item);
  }

  update(item) {
    const again = () => this.node.dispatchEvent(new CustomEvent("retry", { bubbles: true }));
    this.node.className = `note ${item.tone}`;
    this.node.replaceChildren(h("span", {}, item.text), item.code ? h("code", {}, item.code) : "",
      item.retry ? button("Retry", again, { title: "r: does the turn again" }) : "");
  }
}

function frame(item, kind, who, acts, ...content) {
  const time = item.time ? stamp(h("time"), item.time) : null;
  const head = h("header", {}, h("h2", { class: "who" }, who), time, acts);
  return h("article", { class: `message ${kind}`, data: { depth: item.depth }, "aria-label": `${who} said` }, head, content);
}

function stamp(node, time) {
  node?.setAttribute("datetime", new Date(time).toISOString());
  if (node && node.textContent !== clock(time)) node.textContent = clock(time);
  return node;
}

const copyMessage = (text) => copyButton("Copy message", text);

const nameOf = (item) => item.agent || "Agent";

function cut(item) {
  return item.partial ? [h("p", { class: "cut" }, CUT[item.partial] ?? `Cut off: ${item.partial}`)] : [];
}
