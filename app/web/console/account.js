/** Who the user is to this server: name, role and budget; and the way out. */

import { get, token } from "./api.js";
import { caller } from "./caller.js";
import { dialog, show } from "./dialogs.js";
import { button, h } from "./dom.js";

const SIGNED_OUT = "baton.signed-out";

const ROLES = {
  user: "sees its own sessions",
  operator: "sees and does everything",
  readonly: "sees everything, changes nothing",
};

/** Every tab of this browser forgets its token. */
export function signOut() {
  token.forget();
  localStorage.setItem(SIGNED_OUT, String(Date.now())); // which the others hear
  leave();
}

/** This tab leaves with the one that signs out. */
export function heedSignOut() {
  addEventListener("storage", (event) => {
    if (event.key !== SIGNED_OUT || !token.get()) return;
    token.forget();
    leave();
  });
}

function leave() {
  for (const name of Object.keys(sessionStorage)) if (name.startsWith("baton.")) sessionStorage.removeItem(name);
  location.hash = "#/";
  location.reload();
}

export const accountButton = (notices) =>
  button(caller.name || "You", () => showAccount(notices), { kind: "plain account", symbol: "person", title: "Who you are here" });

async function showAccount(notices) {
  const { name, role, budget } = await get("api/me").catch(() => caller);
  const facts = [
    ["Name", name || "none: this server asks for no tokens"],
    ["Role", `${role}: ${ROLES[role] ?? ""}`],
    budget && ["Budget", `$${budget.left.toFixed(2)} of $${budget.limit.toFixed(2)} left today (UTC)`],
  ].filter(Boolean);
  const content = h("div", {},
    h("dl", { class: "facts" }, facts.map(([what, words]) => [h("dt", {}, what), h("dd", {}, words)])),
    notices.node(),
    token.get() && h("div", { class: "copying" },
      button("Sign out", signOut, { kind: "danger" }),
      h("small", { class: "hint" }, "In all tabs of this browser.")));
  await show(dialog("Who you are here", content, { yes: "Close", no: null }));
}
