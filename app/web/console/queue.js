/** The messages that wait for a run. */

import { call, get, post } from "./api.js";
import { mayAct } from "./caller.js";
import { button, h } from "./dom.js";
import { inWords } from "./refusals.js";

export class QueuePanel {
  /** `begun` is called when a run was asked for. */
  constructor(sessionId, say, begun) {
    this.begun = begun;
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
    this.node.hidden = !messages.length;
    const at = [...this.list.children].findIndex((line) => line.contains(document.activeElement));
    this.list.replaceChildren(...messages.map((message) => this.line(message)));
    if (at >= 0) (this.list.querySelectorAll("button")[Math.min(at, messages.length - 1)] ?? document.getElementById("composer"))?.focus();
  }

  line(message) {
    const steers = message.kind === "steer";
    return h("li", {},
      h("span", { class: "badge", title: steers ? "Enters at the next safe point" : "Gets its turn afterwards" }, steers ? "Steer" : "Next"),
      h("span", { class: "waiting-text" }, message.content || "(a picture)"),
      h("small", {}, message.created_by),
      mayAct() && button("Withdraw", () => this.withdraw(message), { kind: "plain", "aria-label": `Withdraw “${message.content.slice(0, 60)}”` }));
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
