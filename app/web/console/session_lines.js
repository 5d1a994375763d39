/** Lines of the list at the side: a session, or a message that a search has found. */

import { caller } from "./caller.js";
import { h } from "./dom.js";
import { age, clock, holderOf, nameOf, stateText } from "./words.js";

const SHORT = { awaiting_approval: "Needs approval", awaiting_input: "Needs an answer" };

export class SessionLines {
  constructor(overview) {
    this.overview = overview;
    this.lines = new Map();
  }

  /** The same node as long as the session is there, so that focus and scroll position stay. */
  of(session, isCurrent) {
    let line = this.lines.get(session.id);
    if (!line) this.lines.set(session.id, (line = newLine(`#/session/${session.id}`)));
    const run = this.overview.runs.get(session.id);
    const state = this.overview.stateOf(session);
    const when = this.overview.when(session);
    const told = JSON.stringify([session, state, run?.started_by, isCurrent, age(when)]);
    if (line.told === told) return line;
    line.told = told;
    line.dataset.state = state;
    line.name.textContent = nameOf(session);
    line.meta.textContent = [state === "free" ? null : SHORT[state] ?? stateText(state), about(session, run)].filter(Boolean).join(" · ");
    line.link.title = run ? `${run.agent}, ${holderOf(run)}` : `Active ${clock(when)}`;
    line.age.textContent = age(when);
    line.age.setAttribute("datetime", when);
    if (isCurrent) line.link.setAttribute("aria-current", "page");
    else line.link.removeAttribute("aria-current");
    return line;
  }

  /** Forgets the lines that are not among these, once there are many. */
  keep(lines) {
    if (this.lines.size < 2 * lines.length + 200) return;
    const kept = new Set(lines);
    for (const [id, line] of this.lines) if (!kept.has(line)) this.lines.delete(id);
  }
}

/** Its agent, and whose it is, if it is not the user's own. */
function about(session, run) {
  const agent = (run?.agent ?? session.agent)?.split("/")[0];
  const whose = session.owner && session.owner !== caller.name ? session.owner : run?.started_by !== caller.name ? run?.started_by : null;
  const count = session.num_messages;
  const said = count === undefined ? null : `${count} ${count === 1 ? "message" : "messages"}`;
  return [[agent, whose].filter(Boolean).join(" for "), run ? null : said].filter(Boolean).join(" · ");
}

/** A hit, with the words that were looked for marked. */
export function hitLine(hit) {
  const line = newLine(`#/session/${hit.session_id}/${hit.position}`);
  line.classList.add("hit");
  line.name.textContent = nameOf(hit);
  line.age.textContent = age(hit.created_at);
  line.age.setAttribute("datetime", hit.created_at);
  line.link.title = `${hit.role === "user" ? "User" : hit.agent || "Agent"}, ${clock(hit.created_at)}`;
  const letters = Array.from(hit.excerpt); // the server counts characters
  let at = 0;
  for (const [from, to] of hit.marks) {
    if (from < at) continue;
    line.meta.append(letters.slice(at, from).join(""), h("mark", {}, letters.slice(from, to).join("")));
    at = to;
  }
  line.meta.append(letters.slice(at).join(""));
  return line;
}

function newLine(address) {
  const line = h("li");
  line.name = h("span", { class: "name" });
  line.meta = h("span", { class: "meta" });
  line.age = h("time", { class: "age" });
  line.link = h("a", { href: address }, h("span", { class: "dot" }), line.name, line.age, line.meta);
  line.append(line.link);
  return line;
}
