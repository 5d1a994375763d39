/** The messages that wait for a run. */

import { call, get } from "./api.js";
import { mayAct } from "./caller.js";
import { button, h } from "./dom.js";
import { inWords } from "./refusals.js";

export class QueuePanel {
  constructor(sessionId, say) {
    this.path = `api/sessions/${sessionId}/queue`;
    this.say = say;
    this.list = h("ol", {});
    this.node = h("section", { class: "queue", hidden: true, "aria-label": "Waiting messages" }, this.list);
    this.shown = "";
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
    this.list.replaceChildren(...messages.map((message) => this.line(message)));
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
