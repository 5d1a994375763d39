/** The steps of a run: when each began, how long it took, what it cost, and what it waited for. */

import { get } from "./api.js";
import { isOperator } from "./caller.js";
import { button, h } from "./dom.js";
import { longText } from "./pieces.js";
import { inWords } from "./refusals.js";
import { clock, revealed } from "./words.js";

const STATES = { completed: "done", failed: "failed", rejected: "rejected", unknown: "failed", cancelled: "stopped", running: "running", awaiting_approval: "asking", awaiting_input: "asking" };
const STOPS = { end_turn: "said its last word", tool_use: "calls tools", max_tokens: "was cut off at its limit", refusal: "refused" };

export class Timeline {
  constructor(runId) {
    this.runId = runId;
    this.known = new Map();
    this.node = h("ol", { class: "steps", "aria-label": "Steps", on: { keydown: (event) => this.onKey(event) } });
  }

  /** Shows a run's timeline; what is unchanged stays the same node, open or not. */
  show(timeline) {
    const origin = Date.parse(timeline.started_at);
    const end = Date.parse(timeline.ended_at ?? latest(timeline.steps) ?? timeline.started_at);
    const scale = { origin, length: Math.max(end - origin, 1) };
    const length = timeline.ended_at ? scale.length : 0; // of a run at work the bars are drawn anew each time
    const nodes = timeline.steps.map((step, index) => {
      const key = `${step.kind} ${step.message_id ?? step.call_id ?? index}`;
      const told = JSON.stringify([step, length]);
      const before = this.known.get(key);
      if (before?.told === told) return before.node;
      const node = this.step(step, scale);
      node.firstChild.open = before?.node.firstChild.open ?? false;
      this.known.set(key, { told, node });
      return node;
    });
    const focused = [...this.node.children].findIndex((node) => node.contains(document.activeElement));
    if (nodes.length !== this.node.children.length || nodes.some((node, i) => node !== this.node.children[i])) this.node.replaceChildren(...nodes);
    if (focused >= 0) this.focus(focused);
    else this.reachable(0);
  }

  step(step, scale) {
    const { name, state, told, facts } = described(step);
    const from = step.began_at ? Date.parse(step.began_at) - scale.origin : null;
    const bar = h("span", { class: "bar", "aria-hidden": "true" }, h("span", {}));
    bar.firstChild.style.left = `${share(from ?? 0, scale)}%`;
    bar.firstChild.style.width = `${Math.max(share((step.seconds ?? 0) * 1000, scale), 0.6)}%`;
    const summary = h("summary", { tabindex: "-1" },
      h("span", { class: "at" }, from === null ? "–" : `+${duration(from / 1000)}`),
      h("span", { class: "what" }, h("span", { class: "dot" }), h("span", { class: "name" }, name), h("span", { class: "told" }, told)),
      h("span", { class: "took" }, step.seconds === undefined || step.kind === "event" ? "" : `${step.estimated ? "≈ " : ""}${duration(step.seconds)}`),
      bar);
    const body = h("div", { class: "body" });
    const details = h("details", { class: `step ${step.kind}`, data: { state } }, summary, body);
    details.addEventListener("toggle", () => body.replaceChildren(...(details.open ? this.details(step, facts) : [])));
    return h("li", {}, details);
  }

  details(step, facts) {
    const rows = facts.filter(([, value]) => value !== undefined && value !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, revealed(value))]);
    const parts = [h("dl", { class: "facts" }, rows.flat())];
    if (step.event) parts.push(...longText(revealed(JSON.stringify(step.event, null, 2))));
    if (step.kind === "model" && isOperator()) parts.push(this.request(step));
    return parts;
  }

  /** The request that the model answered, when somebody wants to see it. */
  request(step) {
    const place = h("div", {});
    const load = async () => {
      try {
        const found = await get(`api/runs/${this.runId}/request?session=${step.session_id}&position=${step.position}`);
        const about = ["Made again from what is stored", found.has_options ? "" : "without its options", found.masked ? "secrets are masked" : "", found.shortened ? "long parts are cut" : ""];
        place.replaceChildren(h("p", { class: "hint" }, `${about.filter(Boolean).join("; ")}.`), ...longText(revealed(JSON.stringify(found.request, null, 2)), 20_000));
        place.querySelector("pre").focus();
      } catch (error) {
        place.append(h("p", { class: "problem", role: "alert" }, inWords(error)));
      }
    };
    place.append(button("Show the request", load));
    return place;
  }

  // ---- one step is reached by Tab, the others by the arrows

  reachable(index) {
    [...this.node.querySelectorAll("summary")].forEach((one, i) => one.setAttribute("tabindex", i === index ? "0" : "-1"));
  }

  focus(index) {
    const all = this.node.querySelectorAll(".step > summary");
    const place = Math.min(Math.max(index, 0), all.length - 1);
    this.reachable(place);
    all[place]?.focus();
  }

  onKey(event) {
    if (event.target.tagName !== "SUMMARY") return;
    const here = [...this.node.children].findIndex((node) => node.contains(event.target));
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: Infinity }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.focus(to);
  }
}

function described(step) {
  if (step.kind === "model") return model(step);
  if (step.kind === "tool") return tool(step);
  if (step.kind === "compaction") return { name: "Summary", state: "done", told: money(step.cost), facts: [["Model", step.model], ...tokens(step)] };
  return event(step.event ?? {});
}

function model(step) {
  const told = [step.retries ? `${step.retries} failed before` : "", `${count(step.output_tokens)} out`, `${percent(step.cache_share)} from cache`, money(step.cost)];
  return {
    name: step.model || "Said by the server",
    state: step.cut ? "failed" : "done",
    told: step.model ? told.filter(Boolean).join(" · ") : "",
    facts: [
      ["Agent", step.agent],
      ["Began", moment(step.began_at)],
      ["First piece after", step.first_seconds === undefined ? undefined : duration(step.first_seconds)],
      ["Took", `${duration(step.seconds)}${step.estimated ? " (estimated: its events are gone)" : ""}`],
      ["Attempts that failed", step.retries || undefined],
      ...tokens(step),
      ["Cost", money(step.cost)],
      ["Ended", step.cut ? `cut off: ${step.cut}` : (STOPS[step.stop_reason] ?? step.stop_reason)],
      ["Message", step.position],
    ],
  };
}

function tool(step) {
  const waited = step.decision && step.waited >= 1 ? `waited ${duration(step.waited)}` : "";
  return {
    name: step.tool,
    state: STATES[step.state] ?? "stopped",
    told: [step.state === "completed" ? "" : step.state.replaceAll("_", " "), waited].filter(Boolean).join(" · "),
    facts: [
      ["State", step.state.replaceAll("_", " ")],
      ["Began", moment(step.began_at)],
      ["Took", step.seconds === undefined ? undefined : duration(step.seconds)],
      ["Waited before", step.waited === undefined ? undefined : duration(step.waited)],
      ["Decision", step.decision && `${step.decision}${step.decided_by ? `, by ${step.decided_by}` : ""}`],
      ["Reason", step.reason],
      ["Call", step.call_id],
    ],
  };
}

function event(told) {
  const words = {
    model_fallback: () => `${told.failed_model} → ${told.fallback_model}`,
    hook_finished: () => `${told.hook_event}${told.allowed ? "" : ", did not allow it"} · ${told.duration_ms} ms`,
    hook_blocked: () => told.message,
  }[told.type];
  const bad = ["error", "hook_blocked", "model_fallback"].includes(told.type);
  return { name: String(told.type ?? "event").replaceAll("_", " "), state: bad ? "failed" : "", told: revealed(words ? words() : (told.message ?? told.error ?? "")).slice(0, 200), facts: [] };
}

const tokens = (step) => [
  ["Tokens read", `${count(step.input_tokens + step.cached_input_tokens + step.cached_write_tokens)}, ${percent(step.cache_share)} of them from the cache`],
  ["Put into the cache", count(step.cached_write_tokens)],
  ["Tokens written", count(step.output_tokens)],
];

export const count = (number) => (number ?? 0).toLocaleString();
export const percent = (part) => `${Math.round((part ?? 0) * 100)} %`;
export const money = (dollars) => (dollars ? `$${dollars.toFixed(dollars < 0.1 ? 4 : 2)}` : "$0");

export function duration(seconds) {
  if (seconds === undefined || seconds === null) return "–";
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const moment = (time) => (time ? `${clock(time)} (${time})` : undefined);
const share = (milliseconds, scale) => Math.min(100, Math.max(0, (100 * milliseconds) / scale.length));

function latest(steps) {
  return steps.map((step) => step.ended_at ?? step.began_at).filter(Boolean).sort().at(-1);
}
