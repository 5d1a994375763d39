/** What each event changes in a conversation. Events that are not here change nothing that is shown. */

import { partsOf } from "./message_content.js";
import { outcome } from "./outcomes.js";
import { SUMMED_UP, handsBack, handsOver, remarkOf } from "./snapshot.js";

const CUT = "\n\n[cut: too long to be shown here]"; // what an event may hold ends so; what is stored is whole

const isCut = (event) => Boolean(event.result?.cut) || JSON.stringify(event).includes(JSON.stringify(CUT).slice(1, -1));

const tell = (talk, event) => talk.hear.run(event);

/** What is stored only as long as its event is. */
function remark(talk, event) {
  const { text, tone, code } = remarkOf(event);
  talk.note(text, tone, code, { told: true });
}

export const HANDLERS = {
  team_info(talk) {
    talk.repeats = !talk.tasks.length; // unless something new is said before it begins
  },
  user_message(talk, event) {
    const own = event.session_id === talk.id;
    talk.repeats = false;
    if (own) talk.takenBack(event);
    if (own && !talk.incomplete) talk.truncate(event.session_position);
    if (own && talk.incomplete) return talk.hear.gap();
    talk.endDraft();
    const isWhole = !isCut(event);
    const item = talk.add({ kind: "user", text: event.message, parts: isWhole ? partsOf(event) : [], time: Date.parse(event.timestamp), id: event.message_id, at: own ? event.session_position : undefined });
    if (own && !isWhole) talk.hear.cut(item);
    talk.hear.run(event);
  },
  stream_started(talk, event) {
    if (event.session_id !== talk.id) return talk.tasks.push(event.session_id);
    if (talk.firstOfRun !== null) talk.truncate(talk.firstOfRun); // one that answers nothing new, such as a retry
    talk.firstOfRun = null;
    if (talk.repeats) talk.discard();
    talk.repeats = false;
    talk.hear.run(event);
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
    if (!talk.draft && !talk.heard) talk.unheard = true; // words that the server itself put in, and told nobody
    talk.heard = false;
    talk.endDraft({ time: Date.parse(event.timestamp) });
    talk.written();
    if (talk.incomplete && event.session_id === talk.id) talk.hear.gap();
  },
  partial_tool_call(talk, event) {
    const { id, function: called } = event.tool_call;
    const before = event.tool_definition ? "" : talk.known(id)?.arguments ?? "";
    talk.heard = true;
    talk.call(event, { state: "writing", arguments: before + (called.arguments ?? "") });
  },
  tool_call_confirmation(talk, event) {
    talk.call(event, { state: "asking" });
    talk.hear.run(event);
  },
  tool_call(talk, event) {
    if (isCut(event)) talk.unheard = true;
    talk.call(event, { state: "running" });
    talk.hear.run(event);
  },
  tool_call_output(talk, event) {
    const known = talk.known(event.tool_call_id);
    if (known?.state === "running") talk.touch(known, { live: (known.live ?? "") + event.output });
  },
  tool_call_response(talk, event) {
    const images = (event.result?.images ?? []).map((image) => `data:${image.mimeType};base64,${image.data}`);
    const asked = talk.known(event.tool_call.id)?.state === "asking";
    const state = outcome({ state: event.state, asked, isError: Boolean(event.result?.isError), output: event.response });
    talk.heard = true;
    if (isCut(event)) talk.unheard = true;
    talk.call(event, { state, output: event.response, images, live: "" });
    talk.hear.run(event);
  },
  elicitation_request: tell,
  max_iterations_reached: tell,
  runtime_paused: tell,
  agent_switching(talk, event) {
    const { switching, from_agent: from, to_agent: to } = event;
    const worded = switching ? handsOver(from, to) : handsBack(to, from);
    talk.note(worded((agent) => talk.named(agent)), "quiet", "", { worded });
  },
  model_fallback: remark,
  hook_blocked: remark,
  warning: remark,
  error(talk, event) {
    const code = event.run_code ?? event.code;
    const own = (event.session_id ?? talk.id) === talk.id;
    // the failure of a task is its giver's result too; a summary that could not be made ends no run
    if (!own) talk.note(event.error, "error");
    else if (code === "compaction_failed") remark(talk, event);
    else talk.note(event.error, "error", code, { ends: true });
  },
  session_title(talk, event) {
    talk.title = event.title;
  },
  session_summary: (talk) => talk.note(SUMMED_UP),
  token_usage(talk, event) {
    if (event.session_id === talk.id) talk.usage = event.usage;
  },
  stream_stopped(talk, event) {
    if (event.session_id !== talk.id) {
      talk.endDraft();
      talk.tasks = talk.tasks.slice(0, Math.max(0, talk.tasks.indexOf(event.session_id)));
      return;
    }
    const whole = talk.settle() && event.reason === "normal" && !talk.unheard;
    talk.unheard = false;
    talk.hear.run(event);
    if (talk.incomplete || !whole) talk.hear.end();
    talk.incomplete = false;
  },
  gap(talk) {
    talk.incomplete = true;
    talk.unsure = talk.draft;
    talk.endDraft();
    talk.hear.gap();
  },
  session_exited: tell,
};
