/**
 * What a page knows of one session, out of its history and the events after it. No DOM.
 *
 * `items` are what a reader sees, in order: users' and agents' words, tool calls with their results, notes. An item
 * is `{key, kind, …}`; when it changes its `version` rises. Items of the history know their message's `position`:
 * a run's events begin with its user message, and everything from that position on is told again by the events.
 * Keys count the items of a kind, so an item has the same one however often the history is read.
 */

import { HANDLERS } from "./handlers.js";
import { OPEN } from "./outcomes.js";
import { itemsOf, openTasks } from "./snapshot.js";

const RECENT = 20; // messages of the history that may hold a text which was read here

export class Conversation {
  /** `hear.changed()` after anything changed; `hear.run(event)` when a run begins, asks, goes on or ends;
   * `hear.gap()` when events are missing, and only the history knows what is there now; `hear.end()` when a run has
   * ended otherwise than it was told; `hear.cut(item)` for a message that its event tells only in part. */
  constructor(sessionId, hear) {
    this.id = sessionId;
    this.hear = hear;
    this.items = [];
    this.counts = {};
    this.calls = new Map(); // those of tasks by their session, too
    this.draft = null;
    this.unsure = null; // what was being said when events went missing
    this.tasks = []; // sessions of delegated tasks, the innermost last
    this.title = "";
    this.file = ""; // of the agents, by which the first of them is known
    this.usage = null;
    this.incomplete = false; // since a gap, messages are read from histories
    this.firstOfRun = null;
    this.repeats = false; // the run that begins says nothing new: it does the last turn again
    this.heard = false; // something of the message that is about to be stored
    this.unheard = false; // something was stored that nobody was told of, or not all of it
    this.counter = 0;
  }

  /** Begins anew with what is stored. `keepNotes`: with what only events told, such as warnings, at its place. The next
   * event is the first of a run, unless notes are kept; `between`: then too. */
  reset(history, { keepNotes = false, between = !keepNotes } = {}) {
    const stored = itemsOf(history, (agent) => this.named(agent));
    const kept = keepNotes ? this.kept(stored) : new Map();
    this.counts = {};
    this.items = [...(kept.get(null) ?? [])];
    for (const item of stored.map((one) => this.keyed(one))) this.items.push(item, ...(kept.get(item.key) ?? []));
    this.items.push(...(keepNotes ? this.lostDraft(stored) : []));
    this.calls = new Map(this.items.filter((item) => item.kind === "tool").map((item) => [this.placeOf(item), item]));
    this.draft = null;
    this.tasks = between ? [] : openTasks(history);
    this.firstOfRun = between ? history.first_of_run ?? null : null;
    this.title = history.title;
    this.usage = { input_tokens: history.input_tokens, output_tokens: history.output_tokens, cost: history.cost };
    this.hear.changed();
  }

  /** What no history tells, by the key of the item before it; null for the beginning. */
  kept(stored) {
    const known = new Map();
    for (const item of stored.filter((one) => one.kind === "note")) known.set(words(item), (known.get(words(item)) ?? 0) + 1);
    const said = stored.filter((item) => item.kind === "assistant").slice(-RECENT);
    const isNew = (item) => {
      if (item.kind !== "note") return !said.some((one) => one.text.includes(item.text.trim()));
      const left = known.get(words(item)) ?? 0;
      known.set(words(item), left - 1);
      return left < 1;
    };
    const kept = new Map();
    let before = null;
    for (const item of this.items) {
      const only = item.told || (item.kind === "note" && item.tone === "error");
      if (!only) before = item.key;
      else if (isNew(item)) kept.set(before, [...(kept.get(before) ?? []), this.apart(item)]);
    }
    return kept;
  }

  /** Text that was read on this page before a gap, and is not stored: its process died. */
  lostDraft(stored) {
    const lost = this.unsure;
    this.unsure = null;
    const text = lost?.text.trim();
    if (!text) return [];
    const said = stored.filter((item) => item.kind === "assistant").slice(-RECENT);
    if (said.some((item) => item.text.includes(text))) return [];
    return [this.apart({ ...lost, streaming: false, partial: "lost", told: true })];
  }

  apply(event) {
    const handle = HANDLERS[event.type];
    if (!handle) return;
    handle(this, event);
    this.hear.changed();
  }

  /** How an agent is called: the first of a file mostly has no name of its own. */
  named(agent) {
    return agent === "root" && this.file ? this.file : agent;
  }

  get team() {
    return this.file;
  }

  /** It may become known only when something was said already. */
  set team(file) {
    const isNews = !this.file && file;
    this.file = file;
    if (!isNews) return;
    for (const item of this.items) {
      if (item.kind === "assistant" && item.name !== undefined) this.touch(item, { agent: this.named(item.name) });
      if (item.worded) this.touch(item, { text: item.worded((agent) => this.named(agent)) });
    }
  }

  /** With a key beside those that count what is stored. */
  apart(item) {
    if (!item.key?.startsWith("told-")) item.key = `told-${this.counter++}`;
    return item;
  }

  keyed(item) {
    item.version = 0;
    if (item.told) return this.apart(item);
    const count = this.counts[item.kind] ?? 0;
    this.counts[item.kind] = count + 1;
    item.key = `${item.kind}-${count}`;
    return item;
  }

  add(item) {
    this.items.push(this.keyed({ depth: this.tasks.length, ...item }));
    return this.items.at(-1);
  }

  /** An item, as the history has it. */
  complete(item, history) {
    const stored = itemsOf(history).find((one) => one.kind === item.kind && one.id === item.id);
    if (stored) this.touch(item, { text: stored.text, parts: stored.parts });
    this.hear.changed();
  }

  note(text, tone = "quiet", code = "", more = {}) {
    return this.add({ kind: "note", text, tone, code, ...more });
  }

  touch(item, changes) {
    Object.assign(item, changes);
    item.version += 1;
  }

  /** The message that is being said. What the agent is called may become known only while it speaks. */
  speaking({ agent_name: name, message_id: id = "", timestamp }) {
    if (this.draft && (this.draft.name !== name || this.draft.id !== id)) this.endDraft();
    this.draft ??= this.add({ kind: "assistant", name, id, text: "", thinking: "", streaming: true, time: Date.parse(timestamp) });
    this.draft.agent = this.named(name);
    return this.draft;
  }

  endDraft(changes = {}) {
    if (this.draft) this.touch(this.draft, { streaming: false, ...changes });
    this.draft = null;
  }

  /** The call of that id in the session that is told of. */
  known(id) {
    return this.calls.get(this.placeOf({ sessionId: this.tasks.at(-1) ?? this.id, callId: id }));
  }

  placeOf({ sessionId, callId }) {
    return sessionId === this.id ? callId : `${sessionId}/${callId}`;
  }

  call(event, changes) {
    const { id, function: called } = event.tool_call;
    if (!id) return;
    const known = this.known(id);
    const told = { name: called.name, arguments: called.arguments ?? known?.arguments ?? "", ...changes };
    if (known) return this.touch(known, told);
    const sessionId = this.tasks.at(-1) ?? this.id;
    const item = this.add({ kind: "tool", callId: id, sessionId, agent: event.agent_name, output: "", ...told });
    this.calls.set(this.placeOf(item), item);
  }

  /** A message is stored: its calls are written, and wait for their turn. */
  written() {
    for (const item of this.calls.values()) if (item.state === "writing") this.touch(item, { state: "waits" });
  }

  /** Forgets what the history said from that message on: events tell it again. */
  truncate(position) {
    const from = this.items.findIndex((item) => item.position >= position);
    if (from < 0) return;
    const rest = this.items.slice(from);
    for (const item of rest) if (item.kind === "tool") this.calls.delete(this.placeOf(item));
    this.items = [...this.items.slice(0, from), ...rest.filter((item) => item.position === undefined)];
    this.recount();
  }

  /** Somebody has taken back what events told here, if something else is said at its place now. */
  takenBack({ session_position: position, message_id: id }) {
    const from = this.items.findIndex((item) => item.at >= position && item.id !== id);
    if (from < 0) return;
    for (const item of this.items.splice(from)) if (item.kind === "tool") this.calls.delete(this.placeOf(item));
    this.recount();
  }

  recount() {
    this.counts = {};
    for (const { key } of this.items) {
      const [kind, number] = key.split("-");
      this.counts[kind] = Math.max(this.counts[kind] ?? 0, Number(number) + 1);
    }
  }

  /** The run is over: nothing is being said or done any more. Says whether all of it was told: what was cut has an end
   * that only the history knows. */
  settle() {
    const cut = Boolean(this.draft?.text.trim());
    if (cut) this.touch(this.draft, { partial: "lost", told: true });
    this.endDraft();
    this.tasks = [];
    const open = [...this.calls.values()].filter((item) => OPEN.includes(item.state));
    for (const item of open) this.touch(item, { state: "stopped" });
    return !cut && !open.length;
  }

  /** The last turn is done again: what was said of its answer is not shown to the model any more. */
  discard() {
    for (const item of this.items.toReversed()) {
      if (item.kind === "user") return;
      if (["failed", "cancelled"].includes(item.partial)) this.touch(item, { partial: "retried" });
    }
  }

  /** Whether the note at the end of the last run offers to try it again. */
  offerRetry(offered) {
    const last = this.items.findLast((item) => item.ends || item.kind !== "note");
    for (const item of this.items) {
      const retry = offered && item === last && Boolean(item.ends);
      if (Boolean(item.retry) !== retry) this.touch(item, { retry });
    }
  }
}

const words = ({ text, code }) => `${code} ${text}`;
