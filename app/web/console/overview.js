/** Sessions and their live runs: asked for now and then, and whenever something happened. Of sessions only a window is
 * known, from those that are at work or were active last down to wherever somebody has scrolled. */

import { get, getPage } from "./api.js";

const LIVE_EVERY = 3_000;
const HIDDEN_EVERY = 15_000;
const LIST_EVERY = 20_000;
const PAGE = 60;
const OLDER = 200; // of each further page
const MOST_RUNS = 100; // the server names no more at once

export class Overview extends EventTarget {
  constructor() {
    super();
    this.agents = [];
    this.sessions = []; // those that are waited for, those at work, then those that were active last
    this.known = new Map();
    this.active = new Map(); // the ones at work, by session
    this.runs = new Map(); // the newest live ones by session
    this.unlisted = new Set(); // sessions with live runs that are in no list
    this.looks = 0;
    this.next = null; // path of the next older page
    this.reachable = true;
    this.listedAt = -LIST_EVERY;
  }

  /** Resolves when it is known what there is. */
  async start() {
    [this.agents] = await Promise.all([get("api/agents").catch(() => []), this.refresh()]);
    this.loop();
    document.addEventListener("visibilitychange", () => !document.hidden && this.look());
    addEventListener("session-deleted", (event) => this.forget(event.detail));
    addEventListener("session-renamed", (event) => this.rename(event.detail));
  }

  async loop() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, document.hidden ? HIDDEN_EVERY : LIVE_EVERY));
      await this.look();
    }
  }

  /** Everything, now. */
  async refresh() {
    this.listedAt = -LIST_EVERY;
    await this.look();
  }

  async look() {
    try {
      const live = await get("api/runs?status=running,awaiting_approval,awaiting_input");
      const ended = [...this.runs.keys()].some((id) => !live.some((run) => run.session_id === id));
      this.runs = new Map(live.map((run) => [run.session_id, run]));
      await this.name();
      if (ended || performance.now() - this.listedAt > LIST_EVERY || (await this.moved())) await this.list();
      if (!this.agents.length) this.agents = await get("api/agents");
      this.reachable = true;
    } catch {
      this.reachable = false;
    }
    this.changed();
  }

  /** Which sessions are at work, also those beyond the newest runs, and those that no page has shown yet. Tasks have
   * runs too, and are in no list. */
  async name() {
    const there = (id) => this.active.has(id) || this.known.has(id) || this.unlisted.has(id);
    if (this.runs.size >= MOST_RUNS || ![...this.runs.keys()].every(there)) {
      const active = await get("api/sessions?active=true&order=activity&limit=1000");
      this.active = new Map(active.map((session) => [session.id, session]));
      this.unlisted = new Set([...this.runs.keys()].filter((id) => !this.active.has(id)));
    } else {
      const both = new Map([...this.active, ...this.known]);
      this.active = new Map([...this.runs].filter(([id]) => both.has(id)).map(([id, run]) => [id, { ...both.get(id), status: run.status }]));
    }
  }

  /** Was a session active that no run shows any more? */
  async moved() {
    this.looks += 1;
    if (this.looks % 2) return false;
    const [newest] = await get("api/sessions?order=activity&limit=1");
    const known = newest && this.known.get(newest.id);
    return newest && (!known || activity(known) !== activity(newest));
  }

  /** The newest page anew. What it has not, and should have, is gone. */
  async list() {
    const { items, next } = await getPage(`api/sessions?order=activity&limit=${PAGE}`);
    const newest = new Set(items.map((session) => session.id));
    const joins = next && items.some((one) => this.known.has(one.id) && activity(this.known.get(one.id)) === activity(one));
    const older = [...this.known.values()].filter((one) => joins && !newest.has(one.id) && activity(one) <= activity(items.at(-1)));
    if (!older.length) this.next = next;
    this.known = new Map([...items, ...older].map((session) => [session.id, session]));
    this.listedAt = performance.now();
  }

  /** One page more of older sessions. */
  more() {
    if (!this.next) return;
    this.loading ??= (async () => {
      try {
        const { items, next } = await getPage(this.next.replace(/limit=\d+/, `limit=${OLDER}`));
        for (const session of items) this.known.set(session.id, session);
        this.next = next;
        this.changed();
      } catch {
        this.reachable = false;
      } finally {
        this.loading = null;
      }
    })();
    return this.loading;
  }

  forget(sessionId) {
    this.known.delete(sessionId);
    this.active.delete(sessionId);
    this.changed();
  }

  rename({ id, title }) {
    for (const those of [this.known, this.active]) if (those.has(id)) those.set(id, { ...those.get(id), title });
    this.changed();
  }

  changed() {
    const all = new Map([...this.active, ...this.known]); // what a page says of one is newer
    this.sessions = [...all.values()].sort((one, other) => this.rank(one) - this.rank(other) || order(this.when(other), this.when(one)));
    this.dispatchEvent(new Event("change"));
  }

  /** "free", or how its run is. */
  stateOf(session) {
    return this.runs.get(session.id)?.status ?? this.active.get(session.id)?.status ?? "free";
  }

  /** When it was active last: a run at work is so since it began. */
  when(session) {
    return this.runs.get(session.id)?.started_at ?? activity(session);
  }

  rank(session) {
    const state = this.stateOf(session);
    return state === "free" ? 2 : state === "running" ? 1 : 0;
  }

  get waiting() {
    const those = [...this.active.values(), ...[...this.runs].map(([id, run]) => ({ id, status: run.status }))];
    return new Set(those.filter((one) => one.status && one.status !== "running").map((one) => one.id)).size;
  }

  /** The agent that is at work on a session, else the one that has it, else the one that was chosen last. */
  agentOf(sessionId) {
    const run = this.runs.get(sessionId);
    const session = this.active.get(sessionId) ?? this.known.get(sessionId);
    return (run?.agent ?? session?.agent)?.split("/")[0] ?? localStorage.getItem("baton.agent");
  }
}

/** When it was active last, before any run at work; RFC 3339, so it can be compared. */
export const activity = (session) => session.last_active_at ?? session.created_at;

const order = (one, other) => (one < other ? -1 : one > other ? 1 : 0);
