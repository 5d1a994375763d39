/** Tells, outside of the page, that somebody is waited for: if the user wants it, and while the page is not seen. */

import { button, h } from "./dom.js";
import { nameOf } from "./words.js";

const SWITCH = "baton.notices";
const WORDS = { awaiting_approval: "needs your approval", awaiting_input: "needs an answer from you" };

export class Notices {
  constructor(overview) {
    this.overview = overview;
    this.told = null; // the questions that were there when it was looked last; null: not yet
    overview.addEventListener("change", () => this.look());
  }

  get wanted() {
    return localStorage.getItem(SWITCH) === "on" && globalThis.Notification?.permission === "granted";
  }

  look() {
    const asked = new Map();
    for (const run of this.overview.runs.values()) {
      if (WORDS[run.status]) asked.set(`${run.id} ${run.waiting_for?.call_id ?? ""}`, run);
    }
    const before = this.told;
    this.told = new Set(asked.keys());
    if (!before || !document.hidden || !this.wanted) return;
    for (const [key, run] of asked) if (!before.has(key)) this.tell(run);
  }

  /** Names the session and the agent, and nothing of what is asked. */
  tell(run) {
    const session = this.overview.sessions.find((one) => one.id === run.session_id);
    const notice = new Notification(session ? nameOf(session) : "Baton", {
      body: `${run.agent.split("/")[0]} ${WORDS[run.status]}`,
      tag: `baton ${run.session_id}`,
    });
    notice.onclick = () => {
      focus();
      location.hash = `#/session/${run.session_id}`;
      notice.close();
    };
  }

  /** The switch, and what the browser says to it. */
  node() {
    const said = h("small", { class: "hint", role: "status" });
    const toggle = button("", async () => {
      if (this.wanted) localStorage.setItem(SWITCH, "off");
      else if ((await globalThis.Notification?.requestPermission()) === "granted") localStorage.setItem(SWITCH, "on");
      else said.textContent = "Your browser does not allow it for this page.";
      show();
    });
    const show = () => {
      toggle.textContent = this.wanted ? "Stop notices" : "Notify me when I am waited for";
      if (this.wanted) said.textContent = "While this page is open and not seen.";
    };
    show();
    return h("div", { class: "copying" }, toggle, said);
  }
}
