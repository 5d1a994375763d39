/** Where a message is written. Free session: it starts a run. Busy session: it queues or steers. */

import { button, h } from "./dom.js";
import { standInNote } from "./stand_in.js";

const HIGHEST = 240;

/** Is there a finger instead of a mouse? */
const onGlass = () => matchMedia("(pointer: coarse)").matches;

export class Composer {
  /** `send(text, how)` with how "run", "queue" or "steer" resolves to true if the text was taken. */
  constructor({ draftKey, agents, agent, send, stop }) {
    this.draftKey = `baton.draft.${draftKey}`;
    this.send = send;
    this.busy = null;
    this.sending = false;
    this.text = h("textarea", {
      id: "composer", rows: 1, "aria-label": "Message", autocomplete: "off", enterkeyhint: onGlass() ? "enter" : "send",
      value: sessionStorage.getItem(this.draftKey) ?? "",
      on: { input: () => this.typed(), keydown: (event) => this.key(event) },
    });
    this.agent = h("select", { class: "agent", "aria-label": "Agent", title: "The agent that answers" },
      agents.map((one) => h("option", { value: one.name, title: one.description, selected: one.name === agent }, one.name)));
    this.submit = button("Send", () => this.go(), { kind: "primary round", symbol: "send", title: "Enter" });
    this.queue = button("Queue", () => this.go("queue"), { title: "Enter: gets its turn when the run is over" });
    this.steer = button("Steer", () => this.go("steer"), { title: "Ctrl+Enter: enters at the run’s next safe point" });
    this.stop = button("Stop", stop, { kind: "stop", symbol: "stop", title: "Stop the run (s)" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.node = h("div", { class: "composer" },
      this.problem,
      h("div", { class: "box" }, this.text,
        h("div", { class: "bar" }, this.agent, h("span", { class: "space" }), this.stop, this.steer, this.queue, this.submit)),
      standInNote());
    this.state(null);
    requestAnimationFrame(() => this.grow());
  }

  /** `run` is the live run, or null for a free session. */
  state(run) {
    this.busy = run;
    for (const control of [this.stop, this.steer, this.queue]) control.hidden = !run;
    this.submit.hidden = Boolean(run);
    this.agent.hidden = Boolean(run);
    this.text.placeholder = run ? "Queue a message, or steer the run…" : "Write a message…";
    this.able();
  }

  /** Nothing can be sent any more; the text can be read and copied. */
  closed(why) {
    this.text.readOnly = true;
    for (const control of [this.stop, this.steer, this.queue, this.submit, this.agent]) control.hidden = true;
    this.say(why);
  }

  use(agent) {
    if ([...this.agent.options].some((option) => option.value === agent)) this.agent.value = agent;
  }

  focus() {
    this.text.focus();
  }

  say(problem) {
    this.problem.textContent = problem;
  }

  able() {
    const empty = this.sending || !this.text.value.trim();
    for (const control of [this.submit, this.queue, this.steer]) control.disabled = empty;
  }

  typed() {
    sessionStorage.setItem(this.draftKey, this.text.value);
    this.say("");
    this.grow();
    this.able();
  }

  grow() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(HIGHEST, this.text.scrollHeight)}px`;
  }

  key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || this.text.readOnly) return;
    const steers = event.ctrlKey || event.metaKey;
    if (onGlass() && !steers) return; // a new line: there is a button to send, and no Shift at hand
    event.preventDefault();
    this.go(this.busy && steers ? "steer" : undefined);
  }

  async go(how = this.busy ? "queue" : "run") {
    const text = this.text.value.trim();
    if (!text || this.sending) return;
    this.sending = true;
    this.able();
    const taken = await this.send(text, how).finally(() => (this.sending = false));
    if (taken && this.text.value.trim() === text) {
      this.text.value = "";
      this.typed();
    }
    this.able();
  }
}
