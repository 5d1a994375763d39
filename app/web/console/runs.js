/** All runs, for who keeps the server going: what each does, and a way to end it. */

import { get, post } from "./api.js";
import { mayAct } from "./caller.js";
import { ask, confirm } from "./dialogs.js";
import { button, h, icon } from "./dom.js";
import { inWords } from "./refusals.js";
import { LIVE, age, clock, nameOf, stateText } from "./words.js";

const EVERY = 3_000;
const FILTERS = [
  ["live", "At work", LIVE],
  ["waiting", "Waiting", ["awaiting_approval", "awaiting_input"]],
  ["failed", "Failed", ["failed", "interrupted"]],
  ["all", "All", []],
];

export class RunsPage {
  constructor(overview) {
    this.overview = overview;
    this.filter = "live";
    this.tabs = FILTERS.map(([name, label]) =>
      button(label, () => this.choose(name), { kind: "tab", "aria-pressed": String(name === this.filter), data: { name } }));
    this.holder = h("input", { type: "search", class: "filter", placeholder: "Host, or host:pid", "aria-label": "Held by", on: { input: () => this.soon() } });
    this.body = h("tbody");
    this.problem = h("p", { class: "problem", role: "alert" });
    this.nothing = h("p", { class: "nothing", hidden: true }, "No such runs.");
    this.node = h("div", { class: "runs" },
      h("header", { class: "head" },
        h("a", { class: "button plain back", href: "#/", "aria-label": "All sessions" }, icon("back")),
        h("div", { class: "titles" }, h("h1", {}, "Runs"))),
      h("div", { class: "page" },
        h("div", { class: "filters", role: "group", "aria-label": "Which runs" }, this.tabs, this.holder),
        this.problem,
        h("div", { class: "wide", tabindex: "0", "aria-label": "Runs" },
          h("table", { class: "runs-table" },
            h("thead", {}, h("tr", {}, ["State", "Session", "Doing", "Held by", "Began", "Actions"].map((name, i) =>
              h("th", { scope: "col" }, i === 5 ? h("span", { class: "unseen" }, name) : name)))),
            this.body)),
        this.nothing));
    this.rows = new Map();
  }

  start() {
    this.timer = setInterval(() => document.hidden || this.look(), EVERY);
    this.look();
  }

  close() {
    clearInterval(this.timer);
    clearTimeout(this.typing);
  }

  choose(name) {
    this.filter = name;
    for (const tab of this.tabs) tab.setAttribute("aria-pressed", String(tab.dataset.name === name));
    this.look();
  }

  soon() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.look(), 250);
  }

  async look() {
    const [, , statuses] = FILTERS.find(([name]) => name === this.filter);
    const wanted = new URLSearchParams();
    if (statuses.length) wanted.set("status", statuses.join(","));
    if (this.holder.value.trim()) wanted.set("holder", this.holder.value.trim());
    const asked = wanted.toString();
    this.asked = asked;
    try {
      const runs = await get(`api/runs?${asked}`);
      if (this.asked === asked) this.show(runs);
    } catch (error) {
      this.problem.textContent = inWords(error);
    }
  }

  show(runs) {
    this.nothing.hidden = runs.length > 0;
    const rows = runs.map((run) => this.row(run));
    if (rows.length !== this.body.children.length || rows.some((row, i) => row !== this.body.children[i])) this.body.replaceChildren(...rows);
    for (const id of this.rows.keys()) if (!runs.some((run) => run.id === id)) this.rows.delete(id);
  }

  /** A row stays the same node while its run says the same, so that a button keeps the focus. */
  row(run) {
    const told = JSON.stringify({ ...run, lease_expires_at: undefined, title: this.titleOf(run) });
    const known = this.rows.get(run.id);
    if (known?.told === told) {
      known.row.began.textContent = began(run);
      return known.row;
    }
    const row = this.newRow(run);
    this.rows.set(run.id, { told, row });
    return row;
  }

  titleOf(run) {
    const session = this.overview.sessions.find((one) => one.id === run.session_id);
    return session ? nameOf(session) : run.session_id.slice(0, 8);
  }

  newRow(run) {
    const live = LIVE.includes(run.status);
    const when = h("time", { datetime: run.started_at, title: clock(run.started_at) }, began(run));
    const row = h("tr", { data: { state: run.status } },
      h("td", {}, h("span", { class: "chip", data: { state: run.status } }, h("span", { class: "dot" }), stateText(run.status))),
      cell("Session", h("a", { href: `#/session/${run.session_id}` }, this.titleOf(run)), h("small", {}, run.agent)),
      cell("Doing", doing(run)),
      cell("Held by", h("code", {}, run.holder), run.started_by ? h("small", {}, `for ${run.started_by}`) : null),
      cell("Began", when, h("small", {}, h("a", { href: `#/run/${run.id}` }, "Steps"))),
      h("td", { class: "actions" }, live && mayAct() ? this.actions(run) : null));
    row.began = when;
    return row;
  }

  actions(run) {
    return [
      button("Stop", () => this.cancel(run), { title: "Ends it in order: the agent’s words so far are kept" }),
      button("Release…", () => this.release(run), { kind: "danger", title: "Takes the session away from a stuck run, whatever its process does" }),
    ];
  }

  async cancel(run) {
    if (await confirm("Stop this run?", `${run.agent} in “${this.titleOf(run)}”, held by ${run.holder}.`, "Stop it")) {
      await this.act(() => post(`api/sessions/${run.session_id}/cancel`, { run_id: run.id }));
    }
  }

  async release(run) {
    const reason = await ask(`Take “${this.titleOf(run)}” away from this run?`, "Why? Its readers are told.", "", "Release", { danger: true });
    if (reason !== null) await this.act(() => post(`api/runs/${run.id}/release`, { reason }));
  }

  async act(act) {
    this.problem.textContent = "";
    try {
      await act();
    } catch (error) {
      this.problem.textContent = inWords(error);
    }
    await this.look();
    this.overview.refresh();
  }
}

/** What is too long is cut on the page; its title has all of it. */
function cell(label, ...content) {
  const shown = h("div", {}, content);
  return h("td", { data: { label }, title: shown.textContent.length > 60 && shown.textContent }, shown);
}

const began = (run) => (age(run.started_at) === "now" ? "now" : `${age(run.started_at)} ago`);

function doing(run) {
  const asked = run.waiting_for;
  if (asked?.kind === "approval") return [h("span", {}, "asks to call "), h("code", {}, asked.tool)];
  if (asked) return h("span", {}, asked.kind === "elicitation" ? "asks for an answer" : "asks to go on");
  if (run.phase === "tool") return [h("span", {}, "runs "), h("code", {}, run.tool)];
  if (run.phase === "model") return h("span", {}, "asks the model");
  return h("span", { class: run.error ? "why" : "" }, run.error || run.code || (run.stopped_by ? `by ${run.stopped_by}` : "–"));
}
