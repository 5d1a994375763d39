/** What can be done with a session as a whole: name it, pass it on, take it along, delete it. */

import { call, get } from "./api.js";
import { caller, mayAct } from "./caller.js";
import { ask, confirm, dialog, show } from "./dialogs.js";
import { button, h } from "./dom.js";
import { inWords } from "./refusals.js";
import { asMarkdown } from "./session_text.js";

/** The entries for the menu of this head, but the one that deletes. */
export const sessionMenu = (head) => [
  mayAct() && entry(head, "Rename…", rename),
  entry(head, "Link…", share),
  entry(head, "Export as JSON", (one) => save(one, "json", (session) => `${JSON.stringify(session, null, 2)}\n`)),
  entry(head, "Export as Markdown", (one) => save(one, "md", asMarkdown)),
];

export const deleteButton = (head) => entry(head, "Delete…", remove, "plain danger");

function entry(head, label, act, kind = "plain") {
  return button(label, async () => {
    head.menu.open = false;
    try {
      await act(head);
    } catch (error) {
      await show(dialog("That did not work", h("p", { role: "alert" }, inWords(error)), { yes: "Close", no: null }));
    }
  }, { kind });
}

async function rename(head) {
  const title = await ask("Rename the session", "Title", head.current.title, "Rename");
  if (title === null) return;
  await call("PATCH", `${head.path}/title`, { title });
  dispatchEvent(new CustomEvent("session-renamed", { detail: { id: head.current.id, title } }));
  head.reload();
}

async function remove(head) {
  if (!(await confirm("Delete this session?", "A run at work is stopped. Its messages can’t be brought back.", "Delete"))) return;
  await call("DELETE", head.path);
  location.hash = "#/";
  dispatchEvent(new CustomEvent("session-deleted", { detail: head.current.id }));
}

/** The address, and who can do something with it: it holds no token. */
async function share(head) {
  const input = h("input", { type: "text", id: "address", readonly: true, value: new URL(`#/session/${head.current.id}`, location.href).href, autofocus: true });
  const said = h("span", { class: "hint", role: "status" });
  const copy = button("Copy", async () => {
    input.select();
    const copied = await navigator.clipboard?.writeText(input.value).then(() => true, () => false);
    said.textContent = copied ? "Copied." : "Selected: copy it with your browser.";
  });
  const content = h("div", {},
    h("div", { class: "field" }, h("label", { for: "address" }, "Address"), input),
    h("p", { class: "hint" }, whoMayOpen(head.current)),
    h("div", { class: "copying" }, copy, said));
  await show(dialog("Link to this session", content, { yes: "Close", no: null }));
}

function whoMayOpen(session) {
  if (!caller.name) return "It opens for everybody who reaches this server.";
  const owner = session.owner ? `${session.owner}’s token` : "no user’s token";
  return `It opens with ${owner}, and with those of operators and onlookers. There is no token in it.`;
}

async function save(head, ending, textOf) {
  const session = await get(head.path);
  const link = h("a", { href: URL.createObjectURL(new Blob([textOf(session)])), download: `${fileName(session)}.${ending}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const fileName = (session) => (session.title || session.id).replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || session.id;
