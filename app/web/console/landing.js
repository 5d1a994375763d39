/** Brings a transcript to the message that an address names. */

const AROUND = 40; // items that are shown above it, and below

/** The transcript's window lies round its `aimed` position from now on, if its items reach so far. */
export function land(transcript) {
  const { items, aimed } = transcript;
  const at = items.findLastIndex((item) => item.position !== undefined && item.position <= aimed);
  if (at < 0) return;
  transcript.aimed = undefined;
  transcript.following = false;
  transcript.first = Math.max(0, at - AROUND);
  transcript.last = Math.min(items.length, at + AROUND);
  transcript.reconcile();
  const { node } = transcript.views.get(items[at].key);
  node.classList.add("aimed");
  if (node.tagName === "DETAILS") node.open = true;
  node.tabIndex = -1;
  node.focus({ preventScroll: true });
  node.scrollIntoView({ block: "center" });
}
