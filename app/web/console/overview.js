/** All sessions and their live runs: asked for now and then, and whenever something happened. */

import { get } from "./api.js";

const LIVE_EVERY = 3_000;
const HIDDEN_EVERY = 15_000;
const LIST_EVERY = 20_000;

export class Overview extends EventTarget {
  constructor() {
    super();
    this.agents = [];
    this.sessions = [];
    this.runs = new Map(); // live ones by session
    this.reachable = true;
    this.listedAt = -LIST_EVERY;
  }

  /** Resolves when it is known what there is. */
  async start() {
    [this.agents] = await Promise.all([get("api/agents").catch(() => []), this.refresh()]);
    this.loop();
    document.addEventListener("visibilitychange", () => !document.hidden && this.look());
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
      const runs = new Map(live.map((run) => [run.session_id, run]));
      const ended = [...this.runs.keys()].some((id) => !runs.has(id));
      const unknown = [...runs.keys()].some((id) => !this.sessions.some((session) => session.id === id));
      this.runs = runs;
      if (ended || unknown || performance.now() - this.listedAt > LIST_EVERY) {
        this.sessions = await get("api/sessions");
        this.listedAt = performance.now();
      }
      if (!this.agents.length) this.agents = await get("api/agents");
      this.reachable = true;
    } catch {
      this.reachable = false;
    }
    this.dispatchEvent(new Event("change"));
  }

  get waiting() {
    return [...this.runs.values()].filter((run) => run.status !== "running").length;
  }

  /** The agent that is at work on a session, else the one that was chosen last. */
  agentOf(sessionId) {
    const run = this.runs.get(sessionId);
    return run ? run.agent.split("/")[0] : localStorage.getItem("baton.agent");
  }
}
