/** Questions to the person in front of the page. While one is open the rest of the page can't be reached. */

import { button, h } from "./dom.js";
import { giveBack } from "./focus.js";

/** Resolves to the dialog's value when it closes: "" when it was left. Focus goes back to where it was. */
export function show(dialog) {
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      giveBack(before);
      resolve(dialog.returnValue);
    });
  });
}

export function dialog(title, content, { yes, danger = false, no = "Cancel" }) {
  const accept = (event) => {
    event.preventDefault();
    node.close("yes");
  };
  const node = h("dialog", { "aria-label": title },
    h("form", { on: { submit: accept } },
      h("h2", {}, title),
      content,
      h("div", { class: "answers" },
        no ? button(no, () => node.close(""), { kind: "plain" }) : null,
        h("button", { type: "submit", class: `button ${danger ? "danger" : "primary"}` }, yes))));
  return node;
}

/** Is it meant? */
export async function confirm(title, text, yes) {
  return (await show(dialog(title, h("p", {}, text), { yes, danger: true }))) === "yes";
}

/** A line of text; null if the dialog was left. */
export async function ask(title, label, preset, yes, { danger = false } = {}) {
  const input = h("input", { type: "text", value: preset, id: "asked", autofocus: true });
  const content = h("div", { class: "field" }, h("label", { for: "asked" }, label), input);
  return (await show(dialog(title, content, { yes, danger }))) === "yes" ? input.value.trim() : null;
}

/** The token, and whether it stays in this browser; asked until there is one. */
export async function askForToken(refused) {
  for (;;) {
    const input = h("input", { type: "password", id: "token", autocomplete: "off", autofocus: true });
    const stays = h("input", { type: "checkbox", id: "stays" });
    const content = h("div", {},
      h("p", {}, refused ? "The server does not know this token." : "This server lets in who has a token."),
      h("div", { class: "field" }, h("label", { for: "token" }, "Token"), input,
        h("small", { class: "hint" }, "It is kept until this tab is closed.")),
      h("div", { class: "field boolean" }, stays, h("label", { for: "stays" }, "Stay signed in, in this browser"),
        h("small", { class: "hint" }, "Kept until you sign out. Not on a computer that others use.")));
    await show(dialog("Who are you?", content, { yes: "Go in", no: null }));
    if (input.value.trim()) return { value: input.value.trim(), stays: stays.checked };
  }
}

/** The list of keys. `single` is whether keys without a modifier do anything; resolves to the new choice. */
export async function showHelp(keys, single) {
  const choice = h("input", { type: "checkbox", id: "single", checked: single });
  const rows = keys.map(([key, what]) => h("tr", {}, h("th", { scope: "row" }, key.split(" ").map((one) => h("kbd", {}, one))), h("td", {}, what)));
  const content = h("div", {},
    h("table", { class: "keys" }, h("tbody", {}, rows)),
    h("div", { class: "field boolean" }, choice, h("label", { for: "single" }, "Single keys do something while nothing is being typed")));
  await show(dialog("Keys", content, { yes: "Close", no: null }));
  return choice.checked;
}
