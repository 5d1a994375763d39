/** Markdown within a line: emphasis, code, links. Builds nodes; what it does not understand stays text. */

import { h } from "./dom.js";

const LEADS_TO = new Set(["http:", "https:", "mailto:"]);
const DEEPEST = 8;

// One alternative per construct, each linear in the length of what it matches.
const TOKEN = new RegExp(
  [
    "\\\\([\\\\`*_{}\\[\\]()#+\\-.!|~<>])", // 1 escaped
    "(`+)([^`]|[^`][\\s\\S]{0,1000}?[^`])\\2(?!`)", // 2, 3 code
    "(!?)\\[([^\\[\\]]{0,1000})\\]\\(\\s*<?([^\\s()<>]{1,2000}(?:\\([^\\s()]{0,200}\\))?[^\\s()<>]{0,2000})>?(?:\\s+\"[^\"]{0,200}\")?\\s*\\)", // 4, 5, 6 link
    "(\\*\\*|__)(?=\\S)([\\s\\S]{0,1000}?\\S)\\7(?!\\*)", // 7, 8 strong
    "(~~)(?=\\S)([\\s\\S]{0,1000}?\\S)~~", // 9, 10 struck
    "\\*(?=[^\\s*])([^*]{0,1000}?[^\\s*])\\*(?!\\*)", // 11 emphasis
    "(?<![\\w_])_(?=[^\\s_])([^_]{0,1000}?[^\\s_])_(?![\\w_])", // 12 emphasis
    "<((?:https?:\\/\\/|mailto:)[^\\s<>]{1,2000})>", // 13 address in brackets
    "(?<![\\w/])(https?:\\/\\/[^\\s<>\"'`]{1,2000})", // 14 bare address
  ].join("|"),
  "gu",
);

/** Nodes and strings for `h`. */
export function inline(text, depth = 0) {
  if (depth > DEEPEST) return [text];
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > at) nodes.push(text.slice(at, match.index));
    const [node, rest] = build(match, depth);
    nodes.push(node);
    if (rest) nodes.push(rest);
    at = match.index + match[0].length;
  }
  if (at < text.length) nodes.push(text.slice(at));
  return nodes;
}

function build(match, depth) {
  const [whole, escaped, , code, , label, target, , strong, , struck, starred, scored, bracketed, bare] = match;
  if (escaped !== undefined) return [escaped];
  if (code !== undefined) return [h("code", {}, code.trim() ? code.replace(/^ (.*) $/s, "$1") : code)];
  if (target !== undefined) return [link(target, inline(label || target, depth + 1), whole)];
  if (strong !== undefined) return [h("strong", {}, inline(strong, depth + 1))];
  if (struck !== undefined) return [h("s", {}, inline(struck, depth + 1))];
  if (starred !== undefined) return [h("em", {}, inline(starred, depth + 1))];
  if (scored !== undefined) return [h("em", {}, inline(scored, depth + 1))];
  if (bracketed !== undefined) return [link(bracketed, [bracketed], whole)];
  const trailing = /[.,;:!?)\]*_~]+$/.exec(bare)?.[0] ?? "";
  const address = bare.slice(0, bare.length - trailing.length);
  return [link(address, [address], address), trailing];
}

/** A link, or the text as it was typed if it leads anywhere but to the web or a mailbox. */
export function link(target, content, typed) {
  let url;
  try {
    url = new URL(target);
  } catch {
    return document.createTextNode(typed);
  }
  if (!LEADS_TO.has(url.protocol)) return document.createTextNode(typed);
  return h("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow" }, content);
}
