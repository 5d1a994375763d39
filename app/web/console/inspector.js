/** The page of one run, from inside: what it cost, its steps, and its events as the server keeps them. */

import { get } from "./api.js";
import { button, h, icon } from "./dom.js";
import { longText } from "./pieces.js";
import { inWords } from "./refusals.js";
import { Timeline, count, duration, money, percent } from "./timeline.js";
import { LIVE, clock, revealed, stateText } from "./words.js";

const EVERY = 5_000;
const LEFT = {
  all: "",
  some: "Some of this run’s events are gone: times within model calls, hooks and fallbacks may be missing.",
  none: "This run’s events are gone: times of model calls are estimated, and hooks and fallbacks are not known.",
};

export class InspectorPage {
  constructor(id) {
    this.path = `api/runs/${id}`;
    this.timeline = new Timeline(id);
    this.title = h("h1", {}, "Run");
    this.chip = h("span", { class: "chip", data: { state: "free" } });
    this.sub = h("span", { class: "holder" });
    this.back = h("a", { class: "button plain back", href: "#/runs", "aria-label": "Back" }, icon("back"));
    this.link = h("a", { class: "button", hidden: true }, "Its session");
    this.problem = h("p", { class: "problem", role: "alert" });
    this.totals = h("dl", { class: "totals" });
    this.left = h("p", { class: "hint" });
    this.raw = new RawEvents(this.path);
    this.tabs = [["steps", "Steps"], ["events", "Raw events"]].map(([name, label]) =>
      button(label, () => this.choose(name), { kind: "tab", "aria-pressed": String(name === "steps"), data: { name } }));
    this.steps = h("section", { "aria-label": "Steps" }, this.left, this.timeline.node);
    this.node = h("div", { class: "runs inspector" },
      h("header", { class: "head" }, this.back,
        h("div", { class: "titles" }, this.title, h("div", { class: "states" }, this.chip, this.sub)), this.link),
      h("div", { class: "page" }, this.problem, this.totals,
        h("div", { class: "filters", role: "group", "aria-label": "What is shown" }, this.tabs),
        this.steps, this.raw.node));
  }

  start() {
    this.timer = setInterval(() => document.hidden || !this.live || this.look(), EVERY);
    this.look();
  }

  close() {
    clearInterval(this.timer);
  }

  choose(name) {
    for (const tab of this.tabs) tab.setAttribute("aria-pressed", String(tab.dataset.name === name));
    this.steps.hidden = name !== "steps";
    this.raw.show(name === "events");
  }

  async look() {
    try {
      const [run, timeline] = await Promise.all([get(this.path), get(`${this.path}/timeline`)]);
      this.problem.textContent = "";
      this.show(run, timeline);
    } catch (error) {
      this.problem.textContent = inWords(error);
    }
  }

  show(run, timeline) {
    this.live = LIVE.includes(run.status);
    this.title.textContent = `Run of ${revealed(run.agent)}`;
    this.chip.dataset.state = run.status;
    this.chip.replaceChildren(h("span", { class: "dot" }), stateText(run.status));
    this.sub.textContent = [clock(run.started_at), run.started_by ? `started by ${run.started_by}` : "", run.error ?? ""].filter(Boolean).join(" · ");
    this.link.hidden = false;
    this.link.href = this.back.href = `#/session/${run.session_id}`;
    this.left.textContent = LEFT[timeline.events] ?? "";
    this.showTotals(run, timeline);
    this.timeline.show(timeline);
  }

  showTotals(run, { totals }) {
    const took = (Date.parse(run.ended_at ?? new Date().toISOString()) - Date.parse(run.started_at)) / 1000;
    const read = totals.input_tokens + totals.cached_input_tokens + totals.cached_write_tokens;
    const rows = [
      ["Time", duration(Math.max(took, 0))],
      ["Model calls", `${count(totals.model_calls)} in ${duration(totals.model_seconds)}`],
      ["Tool calls", `${count(totals.tool_calls)} in ${duration(totals.tool_seconds)}`],
      ["Tokens read", `${count(read)}, ${percent(totals.cache_share)} from cache`],
      ["Tokens written", count(totals.output_tokens)],
      ["Cost", money(totals.cost)],
    ];
    this.totals.replaceChildren(...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }
}

/** A run's events, page by page, as they are kept. */
class RawEvents {
  constructor(path) {
    this.path = path;
    this.after = 0;
    this.list = h("ol", { class: "raw", "aria-label": "Raw events" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.more = button("Show more", () => this.load());
    this.node = h("section", { hidden: true, "aria-label": "Raw events" }, this.list, this.problem, this.more);
  }

  show(shown) {
    this.node.hidden = !shown;
    if (shown && !this.after) this.load();
  }

  async load() {
    this.more.disabled = true;
    try {
      const page = await get(`${this.path}/events?after=${this.after}`);
      this.list.append(...page.events.map(event));
      this.after = page.events.at(-1)?.number ?? this.after;
      this.more.textContent = page.next === null ? "Look for more" : "Show more";
      this.problem.textContent = this.list.children.length ? "" : "No events of this run are left.";
    } catch (error) {
      this.problem.textContent = inWords(error);
    }
    this.more.disabled = false;
  }
}

function event({ number, event: told }) {
  const body = h("div", { class: "body" });
  const details = h("details", {},
    h("summary", {}, h("span", { class: "number" }, `#${number}`), h("span", { class: "name" }, told.type), h("span", { class: "told" }, revealed(gist(told)))),
    body);
  details.addEventListener("toggle", () => body.replaceChildren(...(details.open ? longText(revealed(JSON.stringify(told, null, 2))) : [])));
  return h("li", {}, details);
}

const gist = (told) => String(told.content ?? told.message ?? told.tool_call?.function?.name ?? told.error ?? "").replace(/\s+/g, " ").slice(0, 120);
