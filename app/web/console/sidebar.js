/** The list of sessions, with the state of each; and what is found in them. */

import { accountButton } from "./account.js";
import { get } from "./api.js";
import { mayAct } from "./caller.js";
import { announce, button, fill, h, icon } from "./dom.js";
import { Search } from "./search.js";
import { SessionLines, hitLine } from "./session_lines.js";
import { themeChoice } from "./theme_choice.js";
import { nameOf } from "./words.js";

const AT_FIRST = 60; // lines
const MORE = 200; // each time the end comes into sight
const NEAR_END = 400; // pixels

export class Sidebar {
  constructor(node, overview, { help, notices }) {
    this.overview = overview;
    this.current = "";
    this.most = AT_FIRST;
    this.lines = new SessionLines(overview);
    this.hitLines = new Map();
    this.search = new Search(() => this.found());
    this.filter = h("input", {
      type: "search", class: "filter", placeholder: "Search sessions", "aria-label": "Search sessions", title: "/", autocomplete: "off",
      on: { input: () => this.typed(), keydown: (event) => this.key(event) },
    });
    this.heading = h("li", { class: "heading" }, "In messages");
    this.list = h("ul", { class: "sessions", "aria-label": "Sessions", on: { keydown: (event) => this.move(event) } });
    this.list.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.rest = h("p", { class: "rest", role: "status" });
    this.offline = h("p", { class: "offline", role: "status", hidden: true }, "The server can’t be reached.");
    this.runs = h("a", { class: "button plain", href: "#/runs", title: "w" }, icon("runs"), h("span", { class: "label" }, "Runs"));
    node.append(
      h("div", { class: "brand" },
        h("img", { src: new URL("icon.svg", import.meta.url).href, alt: "", width: 24, height: 24 }),
        h("span", {}, "Baton"),
        mayAct() && h("a", { class: "button primary new", href: "#/new", title: "n" }, icon("plus"), h("span", { class: "label" }, "New"))),
      this.filter, this.offline, this.list, this.rest,
      h("div", { class: "ends" }, this.runs, themeChoice(), accountButton(notices), button("Keys", help, { kind: "plain keys", symbol: "help", title: "Keys: ?" })));
    overview.addEventListener("change", () => this.render());
  }

  show(sessionId) {
    this.current = sessionId;
    this.opened = null;
    this.render();
    if (sessionId && !this.overview.sessions.some((one) => one.id === sessionId)) this.nameOpened(sessionId);
    this.list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  /** A session that is in no page yet has a title all the same. */
  async nameOpened(sessionId) {
    const opened = await get(`api/sessions/${sessionId}/status`).catch(() => null);
    if (!opened || this.current !== sessionId) return;
    this.opened = opened;
    this.render();
  }

  get words() {
    return this.filter.value.trim().toLowerCase();
  }

  /** Sessions whose title, directory or id has what is typed; behind them those whose title the server has found. */
  get shown() {
    const { words, overview } = this;
    if (!words) return overview.sessions;
    const here = overview.sessions.filter((one) => `${nameOf(one)} ${one.id} ${one.working_dir ?? ""}`.toLowerCase().includes(words));
    const ids = new Set(here.map((one) => one.id));
    const older = this.search.titles.filter((hit) => !ids.has(hit.session_id));
    return [...here, ...older.map((hit) => overview.known.get(hit.session_id) ?? { ...hit, id: hit.session_id })];
  }

  typed() {
    this.most = AT_FIRST;
    this.search.soon(this.filter.value);
    this.list.scrollTop = 0;
    this.render();
  }

  found() {
    this.render();
    const { hits, titles } = this.search;
    if (this.words) announce(`${hits.length + titles.length} found in titles and messages`);
  }

  render() {
    const { shown } = this;
    this.offline.hidden = this.overview.reachable;
    const sessions = shown.slice(0, this.most).map((session) => this.lines.of(session, session.id === this.current));
    const hits = this.words ? this.search.hits.map((hit) => this.hit(hit)) : [];
    const focused = document.activeElement;
    fill(this.list, sessions, hits.length ? [this.heading, hits] : []);
    if (this.list.contains(focused) && document.activeElement !== focused) focused.focus();
    this.lines.keep(sessions);
    this.rest.textContent = this.summary(shown.length, hits.length);
    document.title = `${this.overview.waiting ? `(${this.overview.waiting}) ` : ""}${this.title()}`;
    if (!this.words && this.list.clientHeight && this.list.scrollHeight <= this.list.clientHeight) this.further();
  }

  hit(hit) {
    const key = `${hit.session_id} ${hit.position} ${hit.excerpt}`;
    if (!this.hitLines.has(key)) this.hitLines.set(key, hitLine(hit));
    return this.hitLines.get(key);
  }

  summary(sessions, hits) {
    if (!this.words) return sessions ? "" : "No sessions yet.";
    if (this.search.state === "looking") return "Looking into messages…";
    if (this.search.state === "failed") return this.search.problem;
    return sessions || hits ? "" : "Nothing like that was found.";
  }

  title() {
    const session = this.overview.sessions.find((one) => one.id === this.current) ?? this.opened;
    return session ? `${nameOf(session)} – Baton` : "Baton";
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.list;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END) this.further();
  }

  /** More of what there is: lines of what is known, else an older page, or further hits. */
  further() {
    if (this.most < this.shown.length) {
      this.most += MORE;
      this.render();
    } else if (this.words) this.search.more();
    else if (this.overview.next) {
      this.most = this.overview.sessions.length + MORE;
      this.overview.more();
    }
  }

  /** Moves to the next or previous session. */
  step(by) {
    const { shown } = this;
    const at = shown.findIndex((session) => session.id === this.current);
    const next = shown[at < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, at + by))];
    if (at + by >= shown.length - 1) this.further();
    if (next) location.hash = `#/session/${next.id}`;
  }

  key(event) {
    if (event.key === "Escape") {
      this.filter.value = "";
      this.filter.blur();
      this.typed();
    }
    if (event.key === "Enter") this.list.querySelector("a")?.click();
    if (event.key === "ArrowDown") {
      event.preventDefault();
      this.list.querySelector("a")?.focus();
    }
  }

  /** Among the lines, and from the first back to what is typed. */
  move(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") this.filter.focus();
    if (!by) return;
    event.preventDefault();
    const links = [...this.list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement) + by;
    if (at < 0) return this.filter.focus();
    if (at >= links.length - 1) this.further();
    links[at]?.focus();
  }
}
