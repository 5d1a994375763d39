/** A change of a file, line by line: the sign says what the colour says. */

import { h } from "./dom.js";
import { revealed } from "./words.js";

const KINDS = { "+": "added", "-": "removed", " ": "same" };
const SAID = { added: "added", removed: "removed" };

/** What a call would do to a file, as the server shows it with the question. */
export function preview(shown) {
  const parts = [heading(shown)];
  if (shown.diff) parts.push(table(linesOf(shown.diff), `The change to ${revealed(shown.path)}`));
  if (shown.left_out) parts.push(h("p", { class: "hint" }, `${shown.left_out.toLocaleString()} more lines are not shown here. All of it is in the arguments.`));
  if (shown.problem) parts.push(h("p", { class: "hint warning" }, revealed(sentence(shown.problem))));
  return h("div", { class: "preview" }, parts);
}

/** Pairs of texts, one in the place of the other, as far as a call's arguments tell. */
export function replacements(pairs, label) {
  const lines = pairs.flatMap(([old, text], index) => [
    ...(index ? [{ kind: "gap", text: "" }] : []),
    ...split(old).map((line) => ({ kind: "removed", text: line })),
    ...split(text).map((line) => ({ kind: "added", text: line })),
  ]);
  return table(lines, label);
}

const split = (text) => (text ? text.replace(/\n$/, "").split("\n") : []);

function heading(shown) {
  const lines = linesOf(shown.diff ?? "");
  const count = (kind) => lines.filter((line) => line.kind === kind).length;
  const what = { create: "New file", change: "Changes", none: "Changes nothing in", unknown: "Writes" }[shown.change] ?? "Writes";
  const counts = shown.diff ? h("span", { class: "counts" }, h("span", { class: "added" }, `+${count("added")}`), " ", h("span", { class: "removed" }, `−${count("removed")}`)) : null;
  return h("p", { class: "file" }, `${what} `, h("code", {}, revealed(shown.path)), " ", counts);
}

/** The lines of the hunks of a unified diff, each with its numbers in the old and the new file. */
export function linesOf(diff) {
  const lines = [];
  let [old, fresh] = [0, 0];
  for (const line of diff ? diff.split("\n") : []) {
    const hunk = line.startsWith("@@") && /^@@ -(\d+),\d+ \+(\d+),\d+ @@/.exec(line);
    if (hunk) {
      [old, fresh] = [Number(hunk[1]), Number(hunk[2])];
      if (lines.length) lines.push({ kind: "gap", text: "" });
      continue;
    }
    if (line.startsWith("\\")) {
      lines.push({ kind: "remark", text: "No line end at the end of the file" });
      continue;
    }
    const kind = KINDS[line[0]] ?? "same";
    lines.push({ kind, text: line.slice(1), old: kind === "added" ? "" : old++, new: kind === "removed" ? "" : fresh++ });
  }
  return lines;
}

function table(lines, label) {
  const rows = lines.map((line) => {
    if (line.kind === "gap") return h("tr", { class: "gap" }, h("td", { colspan: 4 }, "⋯"));
    const sign = { added: "+", removed: "−" }[line.kind] ?? "";
    return h("tr", { class: line.kind },
      h("td", { class: "number" }, String(line.old ?? "")),
      h("td", { class: "number" }, String(line.new ?? "")),
      h("td", { class: "sign" }, sign && h("span", { class: "unseen" }, SAID[line.kind]), h("span", { "aria-hidden": sign ? "true" : undefined }, sign)),
      h("td", { class: "text" }, revealed(line.text)));
  });
  return h("div", { class: "diff", tabindex: "0", role: "region", "aria-label": label }, h("table", {}, h("tbody", {}, rows)));
}

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}.`;
