/** Buttons that copy. */

import { announce, button } from "./dom.js";

const SAID_FOR = 1_500;

/** A button that copies what `text()` gives when it is pressed. `name` says what that is. */
export function copyButton(name, text) {
  const node = button("Copy", () => press(node, name, text), { kind: "plain copy", title: name, "aria-label": name });
  return node;
}

async function press(node, name, text) {
  const said = (await copied(text())) ? "Copied" : "Not copied";
  node.textContent = said;
  node.setAttribute("aria-label", said);
  announce(said);
  clearTimeout(node.saying);
  node.saying = setTimeout(() => {
    node.textContent = "Copy";
    node.setAttribute("aria-label", name);
  }, SAID_FOR);
}

/** Copies a text; also where the browser has no clipboard for the page, as without TLS, or denies it. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedByEvent(text);
  }
}

/** The old way: the browser asks the page for what is copied. */
function copiedByEvent(text) {
  let given = false;
  const give = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    event.clipboardData.setData("text/plain", text);
    given = true;
  };
  document.addEventListener("copy", give, { capture: true });
  try {
    return document.execCommand("copy") && given;
  } finally {
    document.removeEventListener("copy", give, { capture: true });
  }
}
