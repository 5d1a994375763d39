/** Where a message is written. Free session: it starts a run. Busy session: it queues or steers. */

import { Attachments } from "./attachments.js";
import { button, h } from "./dom.js";
import { limits, size } from "./limits.js";
import { messageOf } from "./message_content.js";
import { SlashMenu } from "./slash_menu.js";
import { standInNote } from "./stand_in.js";

const HIGHEST = 240;

/** Is there a finger instead of a mouse? */
const onGlass = () => matchMedia("(pointer: coarse)").matches;

export class Composer {
  /** `send(message, how)` with how "run", "queue" or "steer" resolves to true if the message was taken. `session` is the
   * session's path, if there is one already; `lastOwn()` begins to change what the person has said last. */
  constructor({ draftKey, agents, agent, send, stop, session = "", lastOwn = () => false }) {
    this.draftKey = `baton.draft.${draftKey}`;
    this.send = send;
    this.lastOwn = lastOwn;
    this.busy = null;
    this.sending = false;
    this.revision = null;
    this.target = ""; // another agent of the file, which a command has named
    this.text = h("textarea", {
      id: "composer", rows: 1, "aria-label": "Message", autocomplete: "off", enterkeyhint: onGlass() ? "enter" : "send",
      value: sessionStorage.getItem(this.draftKey) ?? "",
      on: { input: () => this.typed(), keydown: (event) => this.key(event) },
    });
    this.agent = h("select", { class: "agent", "aria-label": "Agent", title: "The agent that answers", on: { change: () => (this.target = "") } },
      agents.map((one) => h("option", { value: one.name, title: one.description, selected: one.name === agent }, one.name)));
    this.submit = button("Send", () => this.go(), { kind: "primary round", symbol: "send", title: "Enter" });
    this.queue = button("Queue", () => this.go("queue"), { title: "Enter: gets its turn when the run is over" });
    this.steer = button("Steer", () => this.go("steer"), { title: "Ctrl+Enter: enters at the run’s next safe point" });
    this.stop = button("Stop", stop, { kind: "stop", symbol: "stop", title: "Stop the run (s)" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.attachments = new Attachments(this.draftKey, { changed: () => this.able(), say: (words) => this.say(words) });
    this.commands = new SlashMenu(this.text, { agent: () => this.agent.value, session, chosen: (command) => this.fillIn(command), say: (words) => this.say(words) });
    this.revising = h("p", { class: "revising", hidden: true });
    this.node = h("div", { class: "composer" },
      this.problem,
      this.commands.node,
      h("div", { class: "box" }, this.revising, this.attachments.list, this.text,
        h("div", { class: "bar" }, this.attachments.button, this.attachments.chosen, this.agent, h("span", { class: "space" }), this.stop, this.steer, this.queue, this.submit)),
      standInNote());
    this.state(null);
    requestAnimationFrame(() => this.grow());
  }

  /** `run` is the live run, or null for a free session. */
  state(run) {
    this.busy = run;
    const queues = Boolean(run) && !this.revision;
    this.stop.hidden = !run;
    for (const control of [this.steer, this.queue]) control.hidden = !queues;
    this.submit.hidden = queues;
    this.agent.hidden = Boolean(run) || Boolean(this.revision);
    this.text.placeholder = run ? "Queue a message, or steer the run…" : "Write a message… / for commands";
    this.able();
  }

  /** Nothing can be sent any more; the text can be read and copied. */
  closed(why) {
    this.text.readOnly = true;
    for (const control of [this.stop, this.steer, this.queue, this.submit, this.agent, this.attachments.button, this.revising]) control.hidden = true;
    this.say(why);
  }

  use(agent) {
    if ([...this.agent.options].some((option) => option.value === agent)) this.agent.value = agent;
  }

  /** Whom the next run is of, as addresses name it. */
  get address() {
    return [this.agent.value, this.target].filter(Boolean).map(encodeURIComponent).join("/");
  }

  focus() {
    this.text.focus();
  }

  say(problem) {
    this.problem.textContent = problem;
  }

  able() {
    const empty = this.sending || (!this.text.value.trim() && !this.attachments.all.length);
    for (const control of [this.submit, this.queue, this.steer]) control.disabled = empty;
  }

  typed() {
    if (!this.revision) sessionStorage.setItem(this.draftKey, this.text.value);
    this.say("");
    this.commands.typed();
    this.grow();
    this.able();
  }

  grow() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(HIGHEST, this.text.scrollHeight)}px`;
  }

  key(event) {
    if (event.isComposing || this.text.readOnly || this.commands.key(event)) return;
    if (event.key === "Escape" && this.revision) return event.preventDefault(), this.leaveRevision();
    if (event.key === "ArrowUp" && !this.text.value && !this.revision && this.lastOwn()) return event.preventDefault();
    if (event.key !== "Enter" || event.shiftKey) return;
    const steers = event.ctrlKey || event.metaKey;
    if (onGlass() && !steers) return; // a new line: there is a button to send, and no Shift at hand
    event.preventDefault();
    this.go(this.busy && steers ? "steer" : undefined);
  }

  /** What a command says stands in the field, to be read and changed before it is sent. */
  fillIn({ text, agent = "" }) {
    this.target = agent;
    this.write(text);
  }

  write(text) {
    this.text.value = text;
    this.typed();
    this.text.focus();
    this.text.setSelectionRange(text.length, text.length);
  }

  /** Behind what is written already. */
  append(text) {
    this.write([this.text.value, text].filter(Boolean).join("\n\n"));
  }

  /** Changes something that was said, with its attachments, in place of the draft, which comes back afterwards. `label`
   * says what sending does; `send(message)` is as the composer's own. */
  revise({ label, text, attachments, send }) {
    this.revision = { send };
    this.revising.replaceChildren(h("span", {}, label), button("Cancel", () => this.leaveRevision(), { kind: "plain", title: "Esc" }));
    this.revising.hidden = false;
    this.attachments.use(`${this.draftKey}.revised`, attachments);
    this.write(text);
    this.state(this.busy);
  }

  leaveRevision() {
    this.revision = null;
    this.revising.hidden = true;
    this.attachments.use(this.draftKey);
    this.write(sessionStorage.getItem(this.draftKey) ?? "");
    this.state(this.busy);
  }

  async go(how = this.busy ? "queue" : "run") {
    const text = this.text.value.trim();
    const attached = this.attachments.all;
    if ((!text && !attached.length) || this.sending) return;
    const message = messageOf(text, attached);
    const { revision } = this;
    this.sending = true;
    this.able();
    const taken = await this.taken(message, how, revision).finally(() => (this.sending = false));
    if (taken && revision && revision === this.revision) this.leaveRevision();
    else if (taken && !revision && this.text.value.trim() === text) {
      this.attachments.all = this.attachments.all.filter((one) => !attached.includes(one));
      this.target = "";
      this.text.value = "";
      this.typed();
    }
    this.able();
  }

  async taken(message, how, revision) {
    const problem = await tooMuch(message);
    if (problem) return this.say(problem), false;
    return revision ? revision.send(message) : this.send(message, how);
  }
}

/** What the server would refuse about its size, in words; empty if it is all right. */
async function tooMuch({ content, multi_content: parts }) {
  const most = await limits();
  if (!most) return "";
  const text = content ?? parts.find((part) => part.type === "text")?.text ?? "";
  if (text.length > most.max_text_characters) return `The message has ${text.length.toLocaleString()} characters; ${most.max_text_characters.toLocaleString()} are allowed.`;
  const bytes = new Blob([JSON.stringify(parts ?? content)]).size;
  return bytes > most.max_body_bytes - 1_000 ? `The message is larger than ${size(most.max_body_bytes)}.` : "";
}
