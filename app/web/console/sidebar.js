/** The list of sessions, with the state of each. */

import { mayAct } from "./caller.js";
import { button, h, icon } from "./dom.js";
import { age, holderOf, nameOf, stateText } from "./words.js";

const MOST = 200;
const SHORT = { awaiting_approval: "Needs approval", awaiting_input: "Needs an answer" };

export class Sidebar {
  constructor(node, overview, { help }) {
    this.overview = overview;
    this.current = "";
    this.filter = h("input", {
      type: "search", class: "filter", placeholder: "Filter sessions", "aria-label": "Filter sessions",
      on: { input: () => this.render(), keydown: (event) => this.key(event) },
    });
    this.list = h("ul", { class: "sessions" });
    this.rest = h("p", { class: "rest" });
    this.offline = h("p", { class: "offline", role: "status", hidden: true }, "The server can’t be reached.");
    this.runs = h("a", { class: "button plain", href: "#/runs", title: "w" }, icon("runs"), h("span", { class: "label" }, "Runs"));
    this.lines = new Map();
    node.append(
      h("div", { class: "brand" },
        h("img", { src: new URL("icon.svg", import.meta.url).href, alt: "", width: 24, height: 24 }),
        h("span", {}, "Baton"),
        mayAct() && h("a", { class: "button primary new", href: "#/new", title: "n" }, icon("plus"), h("span", { class: "label" }, "New"))),
      this.filter, this.offline, this.list, this.rest,
      h("div", { class: "ends" }, this.runs, button("Keys", help, { kind: "plain", symbol: "help", title: "?" })));
    overview.addEventListener("change", () => this.render());
  }

  show(sessionId) {
    this.current = sessionId;
    this.render();
    this.list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  get found() {
    const words = this.filter.value.trim().toLowerCase();
    const all = this.overview.sessions;
    return words ? all.filter((one) => `${nameOf(one)} ${one.id} ${one.working_dir ?? ""}`.toLowerCase().includes(words)) : all;
  }

  render() {
    const { found } = this;
    const shown = found.slice(0, MOST);
    this.offline.hidden = this.overview.reachable;
    const lines = shown.map((session) => this.line(session));
    if (this.lines.size > 2 * MOST) this.lines = new Map(shown.map((session, i) => [session.id, lines[i]]));
    if (lines.length !== this.list.children.length || lines.some((line, i) => line !== this.list.children[i])) {
      const focused = document.activeElement;
      this.list.replaceChildren(...lines);
      if (this.list.contains(focused)) focused.focus();
    }
    this.rest.textContent = found.length > MOST ? `${found.length - MOST} more: filter to find them` : found.length ? "" : this.nothing();
    document.title = `${this.overview.waiting ? `(${this.overview.waiting}) ` : ""}${this.title()}`;
  }

  nothing() {
    return this.overview.sessions.length ? "No session like that." : "No sessions yet.";
  }

  title() {
    const session = this.overview.sessions.find((one) => one.id === this.current);
    return session ? `${nameOf(session)} – Baton` : "Baton";
  }

  /** The same node as long as the session is there, so that focus and scroll position stay. */
  line(session) {
    let line = this.lines.get(session.id);
    if (!line) this.lines.set(session.id, (line = newLine(session.id)));
    const run = this.overview.runs.get(session.id);
    const state = run?.status ?? "free";
    line.dataset.state = state;
    line.name.textContent = nameOf(session);
    line.meta.textContent = `${SHORT[state] ?? stateText(state)} · ${run ? whose(run) : counted(session.num_messages)}`;
    line.link.title = run ? `${run.agent}, ${holderOf(run)}` : "";
    line.age.textContent = age(session.created_at);
    line.link.toggleAttribute("aria-current", session.id === this.current);
    if (session.id === this.current) line.link.setAttribute("aria-current", "page");
    return line;
  }

  /** Moves to the next or previous session. */
  step(by) {
    const { found } = this;
    const at = found.findIndex((session) => session.id === this.current);
    const next = found[at < 0 ? 0 : Math.max(0, Math.min(found.length - 1, at + by))];
    if (next) location.hash = `#/session/${next.id}`;
  }

  key(event) {
    if (event.key === "Escape") {
      this.filter.value = "";
      this.filter.blur();
      this.render();
    }
    if (event.key === "Enter" && this.found.length) location.hash = `#/session/${this.found[0].id}`;
    if (event.key === "ArrowDown") {
      event.preventDefault();
      this.list.querySelector("a")?.focus();
    }
  }
}

const counted = (messages) => `${messages} ${messages === 1 ? "message" : "messages"}`;

const whose = (run) => [run.agent.split("/")[0], run.started_by].filter(Boolean).join(" for ");

function newLine(id) {
  const line = h("li");
  line.name = h("span", { class: "name" });
  line.meta = h("span", { class: "meta" });
  line.age = h("span", { class: "age" });
  line.link = h("a", { href: `#/session/${id}` }, h("span", { class: "dot" }), line.name, line.age, line.meta);
  line.append(line.link);
  line.addEventListener("keydown", (event) => {
    const to = { ArrowDown: line.nextElementSibling, ArrowUp: line.previousElementSibling }[event.key];
    if (!to) return;
    event.preventDefault();
    to.querySelector("a").focus();
  });
  return line;
}
