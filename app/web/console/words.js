/** Times and states in words. */

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const LIVE = ["running", "awaiting_approval", "awaiting_input"];

const STATES = {
  free: "Free",
  running: "Running",
  awaiting_approval: "Waiting for approval",
  awaiting_input: "Waiting for an answer",
  finished: "Finished",
  failed: "Failed",
  cancelled: "Stopped",
  interrupted: "Interrupted",
};

export const stateText = (status) => STATES[status] ?? status;

export function clock(time) {
  const moment = new Date(time);
  const today = new Date().toDateString() === moment.toDateString();
  return today ? TIME.format(moment) : `${DAY.format(moment)}, ${TIME.format(moment)}`;
}

/** How long ago, roughly: "now", "5 min", "3 h", "2 d". */
export function age(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (seconds < 10) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

// Characters that turn the direction of a text, have no width or mean nothing: with them a command can look like another.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** A text as it is, with what can't be seen written out: `⟦U+202E⟧`. */
export const revealed = (text) =>
  String(text).replace(UNSEEN, (one) => `⟦U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟧`);

const mine = () => JSON.parse(sessionStorage.getItem("baton.mine") ?? "[]");

/** This tab started that run. */
export function claim(runId) {
  sessionStorage.setItem("baton.mine", JSON.stringify([...mine(), runId].slice(-50)));
}

/** The holder of the session: "this tab", or who started the run and which process works on it. */
export function holderOf(run) {
  if (mine().includes(run.id)) return "started in this tab";
  const by = run.started_by ? `started by ${run.started_by}` : "started elsewhere";
  return `${by}, on ${run.holder}`;
}

export const nameOf = (session) => session.title || "Untitled session";
