/** Where the focus goes when what had it goes away. */

const shown = (node) => Boolean(node?.isConnected && node.checkVisibility() && !node.inert);

/** To what had it before; if that is gone or hidden meanwhile, to what is nearest and there. */
export function giveBack(before, fallback = document.getElementById("main")) {
  const known = before && before !== document.body ? before : fallback;
  const nearest = shown(known) ? known : known?.closest?.("details")?.querySelector("summary");
  (shown(nearest) ? nearest : fallback)?.focus({ preventScroll: true });
}

/** Esc in a panel gives the focus back to what had it before the panel; `fallback` gives what gets it else. */
export function leaveByEsc(panel, fallback) {
  let before = null;
  panel.addEventListener("focusin", (event) => {
    if (!panel.contains(event.relatedTarget)) before = event.relatedTarget;
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
    event.preventDefault();
    giveBack(before, fallback());
  });
}
