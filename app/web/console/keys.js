/** The keyboard. Keys without a modifier do something only while nothing is being typed, and can be switched off. */

import { mayAct } from "./caller.js";
import { showHelp } from "./dialogs.js";

export const KEYS = [
  ["n", "New session"],
  ["j k", "Next, previous session"],
  ["/", "Search titles and messages"],
  ["w", "All runs"],
  ["m", "Write a message"],
  ["Enter", "Send; while a run is at work: queue"],
  ["Ctrl+Enter", "Steer the run at work"],
  ["Shift+Enter", "A new line"],
  ["m /", "The agent’s commands, while the message is empty"],
  ["m ↑", "Change what you said last, while the message is empty"],
  ["Esc", "Leave what is being written"],
  ["a", "Approve, or let it go on"],
  ["t", "Approve this tool for the whole session"],
  ["e", "Change the arguments, then approve"],
  ["x", "Reject: write a reason, then Enter"],
  ["f", "Fill in what the agent asks"],
  ["s", "Stop the run"],
  ["r", "Retry what failed"],
  ["i", "The run from inside: its steps"],
  ["Home End", "To the first, to the latest message"],
  ["?", "This list"],
];

const CHANGING = ["n", "m", "m /", "m ↑", "Enter", "Ctrl+Enter", "Shift+Enter", "Esc", "a", "t", "e", "x", "f", "s", "r"];
const SWITCH = "baton.keys";
const TYPED_INTO = "input, textarea, select, [contenteditable]";

export const single = () => localStorage.getItem(SWITCH) !== "off";

export async function help() {
  const chosen = await showHelp(KEYS.filter(([key]) => does(key)), single());
  localStorage.setItem(SWITCH, chosen ? "on" : "off");
}

/** Some keys do nothing for who may change nothing. */
const does = (key) => mayAct() || !CHANGING.includes(key);

/** `page` gives the page that is shown. */
export function listen(sidebar, page) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest(TYPED_INTO) || document.querySelector("dialog[open]")) return;
    const act = ACTS[event.key];
    if (!act || !does(event.key) || (event.key.length === 1 && !single())) return;
    if (act(page(), sidebar) !== false) event.preventDefault();
  });
}

const ACTS = {
  n: () => void (location.hash = "#/new"),
  w: () => void (location.hash = "#/runs"),
  j: (_, sidebar) => sidebar.step(1),
  k: (_, sidebar) => sidebar.step(-1),
  "/": (_, sidebar) => sidebar.filter.focus(),
  m: (page) => page?.composer?.focus(),
  a: (page) => page?.questions?.approve("approve"),
  t: (page) => page?.questions?.approve("approve-tool"),
  e: (page) => void page?.questions?.edit(),
  x: (page) => rejecting(page?.questions),
  f: (page) => page?.questions?.focus(),
  s: (page) => void page?.stop?.(),
  r: (page) => void page?.retry?.(),
  i: (page) => void page?.inspect?.(),
  Home: (page) => page?.transcript?.showBeginning() ?? Boolean(page?.transcript),
  End: (page) => page?.transcript?.showEnd() ?? Boolean(page?.transcript),
  "?": () => void help(),
};

/** A rejection of a call may have a reason, so it is typed first; anything else is rejected at once. */
function rejecting(questions) {
  if (!questions?.question) return;
  if (questions.question.kind === "approval") questions.focus();
  else questions.reject();
}
