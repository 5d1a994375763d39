/** Offers to do the last turn again, while nothing is at work after a run that did not end well. */

import { mayAct } from "./caller.js";
import { button, h } from "./dom.js";

const ENDS = { failed: "The last run failed.", cancelled: "The last run was stopped.", interrupted: "The last run was interrupted." };

export class RetryPanel {
  constructor(retry) {
    this.words = h("span", {});
    this.node = h("section", { class: "again", hidden: true, "aria-label": "The last run" },
      this.words, button("Retry", retry, { title: "r: does the turn again; nothing is said anew" }));
  }

  /** `run` is the session's latest, if it has one and nothing is at work. Says whether it can be done again. */
  show(run) {
    const offered = mayAct() && Boolean(run) && run.status in ENDS && !run.compacts;
    this.node.hidden = !offered;
    if (offered) this.words.textContent = ENDS[run.status];
    return offered;
  }
}
