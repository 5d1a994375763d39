/** A session's history, as the items of a conversation: what a page has that followed it from the beginning. */

import { partsOf } from "./message_content.js";
import { openState, outcome } from "./outcomes.js";

/** The items, without keys. `position`: of the message of the session itself that an item belongs to. */
export function itemsOf(session, named = (agent) => agent) {
  const reading = new Reading(named);
  for (const entry of session.history ?? []) reading[entry.type]?.(entry);
  return reading.items;
}

/** The sessions of the tasks that are being done, the innermost last. */
export function openTasks(session) {
  if (!session.run) return [];
  const open = [];
  for (const entry of session.history ?? []) {
    if (entry.type === "task") open.push(entry.task);
    if (entry.type === "task_ended") open.splice(open.lastIndexOf(entry.task), 1);
  }
  return open.filter((task) => session.history.some((entry) => entry.type === "task" && entry.task === task && isOpen(session, entry)));
}

/** A task without an end may be one of a run that was stopped. */
function isOpen(session, { session_id: giver, call_id: id }) {
  const made = session.history.find((entry) => entry.type === "message" && entry.session_id === giver && entry.calls?.[id]);
  return ["running", "awaiting_input"].includes(made?.calls[id].state);
}

/** The note at the end of a run that did not end well. */
export function noteOfEnd(run) {
  if (run.status === "cancelled") return { text: `Stopped${run.stopped_by ? ` by ${run.stopped_by}` : ""}`, tone: "warning", code: "" };
  return { text: run.error ?? "", tone: "error", code: run.code ?? "" };
}

/** An event that says something which no message holds, as a note. */
export function remarkOf(event) {
  if (event.type === "model_fallback") return { text: `${event.failed_model} did not answer; ${event.fallback_model} took over`, tone: "quiet", code: "" };
  if (event.type === "error") return { text: event.error, tone: "error", code: event.run_code ?? event.code };
  return { text: event.message, tone: "warning", code: "" };
}

export const SUMMED_UP = "The conversation so far was summed up";
/** Notes whose words depend on what agents are called. */
export const handsOver = (from, to) => (named) => `${named(from)} hands a task to ${to}`;
export const handsBack = (from, to) => (named) => `${to} is done; back to ${named(from)}`;

/** What the server itself has said in the user's place is for the model alone. */
const isShown = (entry) => !(entry.implicit && entry.message.role === "user");

class Reading {
  constructor(named) {
    this.named = named;
    this.items = [];
    this.calls = new Map();
    this.position = -1;
  }

  add(depth, item) {
    const whole = { ...item, depth, position: this.position };
    this.items.push(whole);
    return whole;
  }

  remark(depth, text, tone = "quiet", code = "", more = {}) {
    this.add(depth, { kind: "note", text, tone, code, ...more });
  }

  message(entry) {
    if (entry.depth === 0) this.position = entry.position;
    const { message } = entry;
    if (message.role === "tool") return this.result(entry);
    if (!isShown(entry)) return;
    const time = Date.parse(message.created_at);
    if (message.role === "user") {
      this.add(entry.depth, { kind: "user", text: message.content, parts: partsOf(message), time, partial: entry.partial, id: message.message_id });
      return;
    }
    if (message.content || message.reasoning_content) this.said(entry, time);
    for (const call of message.tool_calls ?? []) this.call(entry, call);
  }

  said(entry, time) {
    const { message } = entry;
    this.add(entry.depth, {
      kind: "assistant",
      id: message.message_id,
      name: entry.agentName,
      agent: this.named(entry.agentName),
      text: message.content ?? "",
      thinking: message.reasoning_content ?? "",
      partial: entry.partial,
      time,
    });
  }

  call(entry, { id, function: called }) {
    const fate = entry.calls?.[id] ?? {};
    const item = this.add(entry.depth, {
      kind: "tool",
      callId: id,
      sessionId: entry.session_id,
      name: called.name,
      arguments: called.arguments ?? "",
      agent: entry.agentName,
      state: openState(fate.state),
      output: "",
    });
    this.calls.set(`${entry.session_id}/${id}`, { item, fate });
  }

  result({ session_id: session, message }) {
    const known = this.calls.get(`${session}/${message.tool_call_id}`);
    if (!known) return;
    const { item, fate } = known;
    const parts = (message.multi_content ?? []).filter((part) => part.type === "image_url");
    item.images = parts.map((part) => part.image_url.url);
    item.output = message.content;
    const asked = ["reject", "expired"].includes(fate.decision);
    item.state = outcome({ state: fate.state, asked, isError: Boolean(message.is_error), output: item.output });
  }

  task({ depth, from_agent: from, to_agent: to }) {
    const worded = handsOver(from, to);
    this.remark(depth, worded(this.named), "quiet", "", { worded });
  }

  task_ended({ depth, from_agent: from, to_agent: to, error }) {
    if (error) this.remark(depth + 1, error, "error");
    const worded = handsBack(from, to);
    this.remark(depth, worded(this.named), "quiet", "", { worded });
  }

  summary({ depth }) {
    this.remark(depth, SUMMED_UP);
  }

  note({ depth, event }) {
    const { text, tone, code } = remarkOf(event);
    this.remark(depth, text, tone, code);
  }

  run_ended({ depth, run }) {
    const { text, tone, code } = noteOfEnd(run);
    if (text) this.remark(depth, text, tone, code, { ends: true });
  }
}
