/** How tool calls are: one word for the look, and words for a person. */

const WORDS = {
  writing: "Being written",
  waits: "Waits for its turn",
  asking: "Waiting for approval",
  running: "Running",
  done: "Done",
  ended: "Ended",
  failed: "Failed",
  rejected: "Rejected",
  denied: "Denied by a rule",
  cancelled: "Cancelled",
  unknown: "Outcome unknown",
  stopped: "Stopped",
};

// a call's state in the server's ledger, as far as it is another word here
const OF_LEDGER = {
  pending: "waits",
  awaiting_approval: "asking",
  awaiting_input: "running",
  completed: "done",
};

export const OPEN = ["writing", "waits", "asking", "running"];

/** The state of a call that has its result. `state` is the server's word; without one, as in copies and imports, only
 * whether the result is an error is known. `asked`: a person was asked whether it may run. */
export function outcome({ state, asked, isError, output }) {
  if (!state) return isError ? "failed" : exitOf(output) ? "ended" : "done";
  if (state === "rejected") return asked ? "rejected" : "denied";
  const known = OF_LEDGER[state] ?? state;
  if (known === "done" && exitOf(output)) return "ended";
  return known in WORDS ? known : "unknown";
}

/** The state of a call without a result. The server closes the calls of a run that ends. */
export const openState = (state) => OF_LEDGER[state] ?? state ?? "stopped";

export function stateWords({ state, output }) {
  const exit = ["done", "ended", "failed"].includes(state) && exitOf(output);
  return exit || (WORDS[state] ?? state);
}

const COMMAND = /^(?:Error executing command(?: '[^\n]*')?: (exit status \d+|signal: [^\n]+|timed out after [^\n]+)|Command (timed out after [^\n]+))(?:\n|$)/;

/** How a command ended that did not end well: the first line of its result says so, which the model reads. */
function exitOf(output) {
  const found = COMMAND.exec(output ?? "");
  const words = found?.[1] ?? found?.[2] ?? "";
  return words && words[0].toUpperCase() + words.slice(1);
}
