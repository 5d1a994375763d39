/** Begins: who is asking, what there is, and which page the address names. */

import { heedSignOut } from "./account.js";
import { onTokenWanted, token } from "./api.js";
import { introduce, mayAct } from "./caller.js";
import { askForToken } from "./dialogs.js";
import { h } from "./dom.js";
import { help, listen } from "./keys.js";
import { Notices } from "./notices.js";
import { Overview } from "./overview.js";
import { InspectorPage } from "./inspector.js";
import { RunsPage } from "./runs.js";
import { SessionPage } from "./session.js";
import { Sidebar } from "./sidebar.js";
import { KeyPage } from "./stand_in.js";
import { StartPage } from "./start.js";

let known = false;
onTokenWanted(async (refused) => {
  token.forget();
  const { value, ...how } = await askForToken(refused);
  token.set(value, how);
  if (known) location.reload(); // as somebody else, who may do other things
});
heedSignOut();
await introduce();
known = true;

const main = document.getElementById("main");
const overview = new Overview();
const notices = new Notices(overview);
const sidebar = new Sidebar(document.getElementById("sidebar"), overview, { help, notices });
let page = null;

/** `#/session/ID`, with `/POSITION` at that message, `#/run/ID`, `#/new`, `#/runs`, `#/key`; anything else is the list,
 * which wide windows show anyway. */
function route() {
  const [, kind = "", id = "", position = ""] = location.hash.split("/");
  const isSession = kind === "session" && /^[\w-]+$/.test(id);
  page?.close();
  page = isSession ? new SessionPage(id, overview) : kind === "runs" ? new RunsPage(overview) : kind === "run" && /^[\w-]+$/.test(id) ? new InspectorPage(id) : kind === "new" && mayAct() ? new StartPage(overview) : kind === "key" ? new KeyPage() : null;
  document.body.dataset.page = isSession ? "session" : page ? kind : "list";
  main.replaceChildren(page ? page.node : welcome());
  sidebar.runs.toggleAttribute("aria-current", kind === "runs");
  sidebar.show(isSession ? id : "");
  if (isSession && /^\d+$/.test(position)) page.transcript.aim(Number(position));
  page?.start();
}

function welcome() {
  return h("div", { class: "welcome" },
    h("h1", { class: "unseen" }, "Sessions"),
    h("p", {}, "Choose a session", mayAct() ? [", or ", h("a", { href: "#/new" }, "begin a new one")] : "", "."),
    h("p", { class: "hint" }, "Press ", h("kbd", {}, "?"), " for the keys."));
}

// its address would be taken for a page's
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

await overview.start();
addEventListener("hashchange", route);
listen(sidebar, () => page);
route();
