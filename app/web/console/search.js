/** Looks into what was said, as somebody types. */

import { getPage } from "./api.js";

const PATIENCE = 200; // milliseconds after a letter
const SHORTEST = 2; // letters

export class Search {
  /** `changed()` when there is something else to show. */
  constructor(changed) {
    this.changed = changed;
    this.asked = "";
    this.clear();
  }

  clear() {
    this.hits = [];
    this.titles = [];
    this.next = null;
    this.state = "idle"; // looking, done, failed
  }

  /** Looks for that soon; what was found for something else is not shown any more. */
  soon(words) {
    clearTimeout(this.timer);
    if (words === this.asked) return;
    this.asked = words;
    this.clear();
    if (words.trim().length < SHORTEST) return;
    this.state = "looking";
    this.timer = setTimeout(() => this.look(`api/sessions/search?${new URLSearchParams({ q: words, limit: 30 })}`, words), PATIENCE);
  }

  more() {
    if (!this.next || this.state === "looking") return;
    this.state = "looking";
    this.look(`${this.next}&${new URLSearchParams({ q: this.asked })}`, this.asked);
  }

  async look(path, words) {
    const found = await getPage(path).catch((error) => ({ error }));
    if (words !== this.asked) return;
    this.state = found.error ? "failed" : "done";
    this.problem = found.error?.message;
    this.next = found.next ?? null;
    for (const hit of found.items ?? []) (hit.position === undefined ? this.titles : this.hits).push(hit);
    this.changed();
  }
}
