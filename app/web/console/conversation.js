/**
 * What a page knows of one session, out of a snapshot and the events after it. No DOM.
 *
 * `items` are what a reader sees, in order: users' and agents' words, tool calls with their results, notes. An item
 * is `{key, kind, …}`; when it changes its `version` rises. Items of the snapshot know their message's `position`:
 * a run's events begin with its user message, and everything from that position on is told again by the events.
 */

import { itemsOf, outcome } from "./snapshot.js";

export class Conversation {
  /** `hear.changed()` after anything changed; `hear.run(event)` when a run begins, asks, goes on or ends;
   * `hear.gap()` when events are missing. */
  constructor(sessionId, hear) {
    this.id = sessionId;
    this.hear = hear;
    this.items = [];
    this.calls = new Map();
    this.draft = null;
    this.unsure = null; // what was being said when events went missing
    this.tasks = []; // sessions of delegated tasks, the innermost last
    this.title = "";
    this.team = ""; // the file of the agents, by which the first of them is known
    this.usage = null;
    this.incomplete = false; // since a gap, messages are read from snapshots
    this.counter = 0;
  }

  /** Begins anew with what is stored. What is only told by events, such as errors, is kept behind it if asked. */
  reset(snapshot, { keepNotes = false } = {}) {
    const kept = keepNotes ? this.items.filter((item) => item.told) : [];
    const lost = keepNotes ? this.lostDraft(snapshot) : [];
    this.items = [...itemsOf(snapshot, (agent) => this.named(agent)), ...lost, ...kept];
    this.calls = new Map(this.items.filter((item) => item.kind === "tool").map((item) => [item.callId, item]));
    this.draft = null;
    this.tasks = [];
    this.title = snapshot.title;
    this.hear.changed();
  }

  /** Text that was read on this page before a gap, and is not stored: its process died. */
  lostDraft(snapshot) {
    const lost = this.unsure;
    this.unsure = null;
    const text = lost?.text.trim();
    if (!text) return [];
    const said = (snapshot.messages ?? []).slice(-20).filter(({ message }) => message.role === "assistant");
    return said.some(({ message }) => message.content.includes(text)) ? [] : [{ ...lost, key: `lost-${this.counter++}`, streaming: false, partial: "lost", told: true }];
  }

  apply(event) {
    const handle = HANDLERS[event.type];
    if (!handle) return;
    handle(this, event);
    this.hear.changed();
  }

  /** How an agent is called: the first of a file mostly has no name of its own. */
  named(agent) {
    return agent === "root" && this.team ? this.team : agent;
  }

  add(item) {
    item.key = `${item.kind}-${this.counter++}`;
    item.version = 0;
    item.depth = this.tasks.length;
    this.items.push(item);
    return item;
  }

  note(text, tone = "quiet", code = "") {
    return this.add({ kind: "note", text, tone, code, told: true });
  }

  touch(item, changes) {
    Object.assign(item, changes);
    item.version += 1;
  }

  /** The message that is being said. What the agent is called may become known only while it speaks. */
  speaking(event) {
    const { agent_name: name, timestamp } = event;
    if (this.draft?.name !== name) this.endDraft();
    this.draft ??= this.add({ kind: "assistant", name, text: "", thinking: "", streaming: true, time: Date.parse(timestamp) });
    this.draft.agent = this.named(name);
    return this.draft;
  }

  endDraft() {
    if (this.draft) this.touch(this.draft, { streaming: false });
    this.draft = null;
  }

  call(event, changes) {
    const { id, function: called } = event.tool_call;
    if (!id) return;
    const known = this.calls.get(id);
    const told = { name: called.name, arguments: called.arguments ?? known?.arguments ?? "", ...changes };
    if (known) this.touch(known, told);
    else this.calls.set(id, this.add({ kind: "tool", callId: id, agent: event.agent_name, output: "", ...told }));
  }

  /** Forgets what a snapshot said from that message on: events tell it again. */
  truncate(position) {
    const from = this.items.findIndex((item) => item.position >= position);
    if (from < 0) return;
    for (const item of this.items.slice(from)) if (item.kind === "tool") this.calls.delete(item.callId);
    this.items = [...this.items.slice(0, from), ...this.items.slice(from).filter((item) => item.position === undefined)];
  }

  /** The run is over: nothing is being said or done any more. What is stored was told to be; the rest is lost. */
  settle() {
    if (this.draft?.text.trim()) this.touch(this.draft, { partial: "lost", told: true });
    this.endDraft();
    this.tasks = [];
    for (const item of this.calls.values()) {
      if (["writing", "asking", "running"].includes(item.state)) this.touch(item, { state: "stopped" });
    }
  }
}

const HANDLERS = {
  user_message(talk, event) {
    const own = event.session_id === talk.id;
    if (own && !talk.incomplete) talk.truncate(event.session_position);
    if (own && talk.incomplete) return talk.hear.gap();
    talk.endDraft();
    const images = (event.multi_content ?? []).filter((part) => part.type === "image_url");
    talk.add({ kind: "user", text: event.message, images, time: Date.parse(event.timestamp), messageId: event.message_id });
    talk.hear.run(event);
  },
  stream_started(talk, event) {
    if (event.session_id !== talk.id) talk.tasks.push(event.session_id);
    else talk.hear.run(event);
  },
  agent_choice(talk, event) {
    const draft = talk.speaking(event);
    talk.touch(draft, { text: draft.text + event.content });
  },
  agent_choice_reasoning(talk, event) {
    const draft = talk.speaking(event);
    talk.touch(draft, { thinking: draft.thinking + event.content });
  },
  message_added(talk, event) {
    talk.endDraft();
    if (talk.incomplete && event.session_id === talk.id) talk.hear.gap();
  },
  partial_tool_call(talk, event) {
    const { id, function: called } = event.tool_call;
    const before = event.tool_definition ? "" : talk.calls.get(id)?.arguments ?? "";
    talk.call(event, { state: "writing", arguments: before + (called.arguments ?? "") });
  },
  tool_call_confirmation(talk, event) {
    talk.call(event, { state: "asking" });
    talk.hear.run(event);
  },
  tool_call(talk, event) {
    talk.call(event, { state: "running" });
    talk.hear.run(event);
  },
  tool_call_output(talk, event) {
    const known = talk.calls.get(event.tool_call_id);
    if (known?.state === "running") talk.touch(known, { live: (known.live ?? "") + event.output });
  },
  tool_call_response(talk, event) {
    const images = (event.result?.images ?? []).map((image) => `data:${image.mimeType};base64,${image.data}`);
    const state = outcome(Boolean(event.result?.isError), event.response);
    talk.call(event, { state, output: event.response, images, live: "" });
    talk.hear.run(event);
  },
  elicitation_request: (talk, event) => talk.hear.run(event),
  max_iterations_reached: (talk, event) => talk.hear.run(event),
  runtime_paused: (talk, event) => talk.hear.run(event),
  agent_switching(talk, event) {
    if (event.switching) talk.note(`${talk.named(event.from_agent)} hands a task to ${event.to_agent}`);
    else talk.note(`${event.from_agent} is done; back to ${talk.named(event.to_agent)}`);
  },
  model_fallback: (talk, event) => talk.note(`${event.failed_model} did not answer; ${event.fallback_model} took over`),
  hook_blocked: (talk, event) => talk.note(event.message, "warning"),
  warning: (talk, event) => talk.note(event.message, "warning"),
  error: (talk, event) => talk.note(event.error, "error", event.run_code ?? event.code),
  session_title(talk, event) {
    talk.title = event.title;
  },
  session_summary: (talk) => talk.note("The conversation so far was summed up"),
  token_usage(talk, event) {
    if (event.session_id === talk.id) talk.usage = event.usage;
  },
  stream_stopped(talk, event) {
    if (event.session_id !== talk.id) {
      talk.endDraft();
      talk.tasks = talk.tasks.slice(0, Math.max(0, talk.tasks.indexOf(event.session_id)));
      return;
    }
    talk.settle();
    talk.hear.run(event);
    if (talk.incomplete) talk.hear.gap();
    talk.incomplete = false;
  },
  gap(talk) {
    talk.incomplete = true;
    talk.unsure = talk.draft;
    talk.endDraft();
    talk.hear.gap();
  },
  session_exited: (talk, event) => talk.hear.run(event),
};
