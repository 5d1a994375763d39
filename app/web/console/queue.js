/** The messages that wait for a run. */

import { call, get, post } from "./api.js";
import { mayAct } from "./caller.js";
import { button, h } from "./dom.js";
import { attachmentsOf, messageOf, parted, partsOf } from "./message_content.js";
import { inWords } from "./refusals.js";

export class QueuePanel {
  /** `begun` is called when a run was asked for; `left(text)` gets what was written into a message that had gone by then. */
  constructor(sessionId, say, begun, left) {
    this.begun = begun;
    this.left = left;
    this.messages = [];
    this.edited = null; // the message that is being changed, and where
    this.path = `api/sessions/${sessionId}/queue`;
    this.say = say;
    this.list = h("ol", {});
    this.held = h("p", { class: "held", hidden: true, role: "status" },
      h("span", {}, "No run is at work: what waits goes with your next message."),
      mayAct() && button("Send now", () => this.begin()));
    this.node = h("section", { class: "queue", hidden: true, "aria-label": "Waiting messages" }, this.held, this.list);
    this.shown = "";
  }

  /** `idle`: nobody comes for what waits by itself. */
  rest(idle) {
    this.held.hidden = !idle;
  }

  async begin() {
    try {
      const { streaming } = await post(`${this.path}/begin`);
      this.say(streaming ? "" : "It could not be begun with what waits; the server’s log says why.");
    } catch (error) {
      this.say(inWords(error));
    }
    this.begun();
  }

  async refresh() {
    try {
      this.show((await get(this.path)).messages);
    } catch {
      // what was shown stays; the next look shows what is there
    }
  }

  show(messages) {
    const key = JSON.stringify(messages);
    if (key === this.shown) return;
    this.shown = key;
    this.messages = messages;
    this.draw();
  }

  draw() {
    const { messages } = this;
    this.node.hidden = !messages.length;
    const focused = document.activeElement;
    const at = [...this.list.children].findIndex((line) => line.contains(focused));
    if (this.edited && !messages.some(({ id }) => id === this.edited.message.id)) this.entered();
    this.list.replaceChildren(...messages.map((message) => (message.id === this.edited?.message.id ? this.edited.line : this.line(message))));
    if (at < 0) return;
    const line = this.list.children[Math.min(at, messages.length - 1)];
    (focused.isConnected ? focused : line?.querySelector("button") ?? document.getElementById("composer"))?.focus();
  }

  line(message) {
    return h("li", { data: { message: message.id } },
      badge(message),
      h("span", { class: "waiting-text" }, parted(message.content).words, attached(message)),
      h("small", {}, message.created_by),
      mayAct() && button("Edit", () => this.edit(message), { kind: "plain", "aria-label": `Edit “${named(message)}”` }),
      mayAct() && button("Withdraw", () => this.withdraw(message), { kind: "plain", "aria-label": `Withdraw “${named(message)}”` }));
  }

  /** Changes the words of a message at its place; what is attached stays. */
  edit(message) {
    this.leave();
    const text = h("textarea", { rows: 2, value: parted(message.content).words, "aria-label": "The message that waits", on: { keydown: (event) => this.key(event) } });
    const line = h("li", {}, badge(message), h("div", { class: "waiting-edit" }, text, attached(message),
      h("div", { class: "answers" }, button("Save", () => this.save(), { kind: "primary", title: "Enter" }), button("Cancel", () => this.leave(), { kind: "plain", title: "Esc" }))));
    this.edited = { message, text, line };
    this.draw();
    text.focus();
  }

  key(event) {
    if (event.isComposing || (event.key !== "Escape" && (event.key !== "Enter" || event.shiftKey))) return;
    event.preventDefault();
    if (event.key === "Enter") this.save();
    else this.leave();
  }

  leave() {
    const { edited } = this;
    if (!edited) return;
    this.edited = null;
    this.draw();
    this.list.querySelector(`[data-message="${CSS.escape(edited.message.id)}"] button`)?.focus();
  }

  async save() {
    const { message, text } = this.edited;
    const kept = attachmentsOf(message.content, partsOf(message));
    if (!text.value.trim() && !kept.length) return this.say("A message says something: withdraw it instead.");
    try {
      await call("PATCH", `${this.path}/${message.id}`, [messageOf(text.value.trim(), kept)]);
      this.say("");
      this.leave();
    } catch (error) {
      if (error.code !== "taken_already" && error.code !== "unknown_message") return this.say(inWords(error));
      this.entered();
    }
    await this.refresh();
  }

  /** The message went into the conversation, or away, while it was changed: what was written can be sent still. */
  entered() {
    const { text } = this.edited;
    this.edited = null;
    this.shown = "";
    this.left(text.value);
    this.say("Too late: the message does not wait any more. What you wrote is below.");
  }

  async withdraw(message) {
    try {
      await call("DELETE", `${this.path}/${message.id}`);
    } catch (error) {
      this.say(inWords(error));
    }
    await this.refresh();
  }
}

function badge({ kind }) {
  const steers = kind === "steer";
  return h("span", { class: "badge", title: steers ? "Enters at the next safe point" : "Gets its turn afterwards" }, steers ? "Steer" : "Next");
}

const named = ({ content }) => content.slice(0, 60) || "an attachment";

/** In words; nothing for a message of words alone. */
function attached(message) {
  const files = parted(message.content).files.map((file) => file.name);
  const papers = partsOf(message).filter((part) => part.document).map((part) => part.document.name || "a document");
  const length = partsOf(message).length - papers.length;
  const all = [...files, ...papers, ...(length ? [length === 1 ? "a picture" : `${length} pictures`] : [])];
  return all.length ? h("small", { class: "with" }, ` (with ${all.join(", ")})`) : null;
}
