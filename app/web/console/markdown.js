/**
 * A small Markdown. Text becomes nodes whose content is set as text, so nothing in it can become markup, and a
 * link can only lead to the web or to a mailbox. HTML in a message is shown as it was typed.
 */

import { h } from "./dom.js";
import { inline } from "./inline.js";

const TOO_LONG = 200_000;
const DEEPEST = 6;

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])( +|$)/;
const TABLE_RULE = /^ *\|? *:?-+:? *(\| *:?-+:? *)*\|? *$/;

/** The text as blocks: `{type, source, …}`. Blocks that did not change have the same source. */
export function parse(text) {
  if (text.length > TOO_LONG) return [{ type: "plain", source: text }];
  const lines = text.replaceAll("\r\n", "\n").replaceAll("\t", "    ").split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const block = take(lines, at);
    block.source = lines.slice(at, block.end).join("\n");
    blocks.push(block);
    at = block.end;
  }
  return blocks;
}

function take(lines, at) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return takeFence(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return { type: "heading", level: heading[1].length, text: heading[2], end: at + 1 };
  if (RULE.test(line)) return { type: "rule", end: at + 1 };
  if (QUOTE.test(line)) return takeQuote(lines, at);
  if (ITEM.test(line)) return takeList(lines, at);
  if (line.includes("|") && lines[at + 1] !== undefined && TABLE_RULE.test(lines[at + 1])) {
    return takeTable(lines, at);
  }
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !interrupts(lines[end])) end += 1;
  return { type: "paragraph", text: lines.slice(at, end).join("\n"), end };
}

function interrupts(line) {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
}

function takeFence(lines, at, fence) {
  let end = at + 1;
  const closing = new RegExp(`^ {0,3}${fence[1][0]}{${fence[1].length},} *$`);
  while (end < lines.length && !closing.test(lines[end])) end += 1;
  const code = lines.slice(at + 1, end).join("\n");
  return { type: "code", language: fence[2], code, end: Math.min(end + 1, lines.length) };
}

function takeQuote(lines, at) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  return { type: "quote", text: lines.slice(at, end).map((line) => line.replace(QUOTE, "")).join("\n"), end };
}

/** Items of one list: what is indented below a bullet belongs to it. */
function takeList(lines, at) {
  const first = ITEM.exec(lines[at]);
  const ordered = /\d/.test(first[2]);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    if (item && item[1].length <= first[1].length + 1 && /\d/.test(item[2]) === ordered) {
      items.push([lines[end].slice(item[0].length)]);
    } else if (!lines[end].trim() && /^ {2,}\S|^ *([-*+]|\d{1,9}[.)]) /.test(lines[end + 1] ?? "")) {
      items.at(-1).push("");
    } else if (/^ {2,}\S/.test(lines[end])) {
      items.at(-1).push(lines[end].replace(/^ {2,4}/, ""));
    } else if (lines[end].trim() && !interrupts(lines[end]) && lines[end - 1].trim()) {
      items.at(-1).push(lines[end]);
    } else break;
    end += 1;
  }
  return { type: "list", ordered, start: parseInt(first[2], 10), items: items.map((item) => item.join("\n")), end };
}

function takeTable(lines, at) {
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const rows = [lines[at], ...lines.slice(at + 2, end)].map((line) =>
    line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim()),
  );
  return { type: "table", rows, end };
}

/** A block's node. */
export function render(block, depth = 0) {
  switch (block.type) {
    case "heading":
      return h(`h${Math.min(6, block.level + 2)}`, { class: `h${block.level}` }, inline(block.text));
    case "rule":
      return h("hr");
    case "code":
      return h("pre", { tabindex: "0", data: { language: block.language } }, h("code", {}, block.code));
    case "plain":
      return h("p", { class: "plain" }, block.source);
    case "quote":
      return h("blockquote", {}, nested(block.text, depth));
    case "list":
      return list(block, depth);
    case "table":
      return h("div", { class: "wide", tabindex: "0" }, table(block.rows));
    default:
      return h("p", {}, inline(block.text));
  }
}

function nested(text, depth) {
  if (depth >= DEEPEST) return [document.createTextNode(text)];
  return parse(text).map((block) => render(block, depth + 1));
}

function list(block, depth) {
  const items = block.items.map((item) => {
    const nodes = nested(item, depth);
    // a one-line item is not a paragraph
    const flat = nodes[0]?.nodeName === "P" ? [...nodes[0].childNodes, ...nodes.slice(1)] : nodes;
    return h("li", {}, flat);
  });
  const start = block.ordered && block.start !== 1 ? block.start : undefined;
  return h(block.ordered ? "ol" : "ul", { start }, items);
}

function table([head, ...rows]) {
  const cells = (row, tag) => head.map((_, column) => h(tag, {}, inline(row[column] ?? "")));
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, cells(head, "th"))),
    h("tbody", {}, rows.map((row) => h("tr", {}, cells(row, "td")))),
  );
}

/** A node whose text may grow: only the blocks that changed are built again. */
export class MarkdownView {
  constructor() {
    this.node = h("div", { class: "markdown" });
    this.sources = [];
  }

  update(text) {
    const blocks = parse(text);
    let same = 0;
    while (same < blocks.length && blocks[same].source === this.sources[same]) same += 1;
    while (this.node.childNodes.length > same) this.node.lastChild.remove();
    this.node.append(...blocks.slice(same).map((block) => render(block)));
    this.sources = blocks.map((block) => block.source);
  }
}
