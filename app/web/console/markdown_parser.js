/**
 * Markdown as the console reads it: CommonMark with tables, strikethrough, task lists, footnotes and bare addresses.
 * HTML stays text, except for `<br>`; a picture becomes a link to it. The result is HTML that still has to be sanitised.
 */

import footnotes from "./vendor/markdown-it-footnote/index.mjs";
import MarkdownIt from "./vendor/markdown-it/markdown-it.esm.min.mjs";
import { highlighted } from "./highlighter.js";
import { mayLeadTo } from "./sanitiser.js";

const LINK = { target: "_blank", rel: "noopener noreferrer nofollow" };
const TASK = /^\[([ xX])\](?=\s)/;
const BREAK = /^<br *\/?>/i;

/** `breaks`: as people type it. Each line of the source is a line on the page, also one that defines a link. */
export function newParser({ breaks = false } = {}) {
  const parser = new MarkdownIt("default", { html: false, linkify: true, breaks });
  parser.use(footnotes);
  parser.inline.ruler.disable("footnote_inline"); // `^[` is more often a regular expression
  parser.linkify.set({ fuzzyLink: false }); // main.py is a file, whatever Paraguay says
  parser.validateLink = mayLeadTo;
  parser.inline.ruler.before("autolink", "typed_break", typedBreak);
  parser.core.ruler.push("tasks", tasks);
  parser.core.ruler.push("looks", looks);
  parser.renderer.renderToken = tag;
  Object.assign(parser.renderer.rules, RULES);
  if (breaks) {
    parser.renderer.rules.softbreak = () => "<br>";
    parser.block.ruler.disable("reference");
  }
  return parser;
}

function typedBreak(state, silent) {
  const typed = BREAK.exec(state.src.slice(state.pos, state.pos + 10));
  if (!typed) return false;
  if (!silent) state.push("hardbreak", "br", 0);
  state.pos += typed[0].length;
  return true;
}

/** An item that begins with `[ ]` or `[x]` has a box, which nobody can tick. */
function tasks({ tokens, Token }) {
  tokens.forEach((token, at) => {
    if (token.type !== "inline" || tokens[at - 2]?.type !== "list_item_open") return;
    const first = token.children[0];
    const marked = TASK.exec(first?.type === "text" ? first.content : "");
    if (!marked) return;
    const box = new Token("task", "input", 0);
    box.meta = { done: marked[1] !== " " };
    first.content = first.content.slice(marked[0].length);
    token.children.unshift(box);
    tokens[at - 2].attrJoin("class", "task");
  });
}

/** Headings stand below the page's own and skip no level, whatever their look: `env.level` is the last one's. Alignment
 * is a class, since the page's policy forbids styles. */
function looks({ tokens, env }) {
  for (const token of tokens) {
    if (token.type === "heading_open") {
      token.attrSet("class", token.tag);
      env.level = Math.min(Number(token.tag[1]), (env.level ?? 0) + 1);
      token.meta = { level: env.level };
    }
    if (token.type.startsWith("heading_")) token.tag = `h${Math.min(6, env.level + 2)}`;
    const aligned = /^text-align:(\w+)$/.exec(token.attrGet("style") ?? "");
    if (aligned) token.attrs = [["class", aligned[1]]];
    for (const child of token.children ?? []) {
      if (child.type === "link_open") for (const [name, value] of Object.entries(LINK)) child.attrSet(name, value);
    }
  }
}

/** A tag without white space around it. */
function tag(tokens, at) {
  const token = tokens[at];
  if (token.hidden) return "";
  return token.nesting === -1 ? `</${token.tag}>` : `<${token.tag}${this.renderAttrs(token)}>`;
}

const escape = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const attributes = (all) => Object.entries(all).map(([name, value]) => ` ${name}="${escape(value)}"`).join("");
const number = (token) => String(token.meta.id + 1);

/** Is there a line that ends the fence? Until then its code may grow. */
export function isClosed({ map, content }) {
  const lines = content ? content.replace(/\n$/, "").split("\n").length : 0;
  return map[1] - map[0] === lines + 2;
}

export const codeOf = (token) => token.content.replace(/\n$/, "");
export const languageOf = (token) => /^[\w+#.-]*/.exec(token.info.trim())[0];

function code(tokens, at) {
  const token = tokens[at];
  const language = languageOf(token);
  const inside = isClosed(token) ? highlighted(codeOf(token), language) : null;
  return `<pre${attributes({ tabindex: "0", "data-language": language })}><code>${inside ?? escape(codeOf(token))}</code></pre>`;
}

const RULES = {
  fence: code,
  code_block: (tokens, at) => `<pre tabindex="0" data-language=""><code>${escape(codeOf(tokens[at]))}</code></pre>`,
  hardbreak: () => "<br>",
  image: (tokens, at) => {
    const { content } = tokens[at];
    const href = tokens[at].attrGet("src");
    return `<a${attributes({ href, ...LINK })}>${escape(content || href)}</a>`;
  },
  task: (tokens, at) => {
    const { done } = tokens[at].meta;
    return `<input type="checkbox" disabled${done ? " checked" : ""} aria-label="${done ? "Done" : "To do"}">`;
  },
  table_open: () => '<div class="wide" role="group" aria-label="Table" tabindex="0"><table>',
  table_close: () => "</table></div>",
  footnote_ref: (tokens, at) => {
    const note = number(tokens[at]);
    return `<sup><button type="button" class="note-ref" data-note="${note}" aria-label="Footnote ${note}">${note}</button></sup>`;
  },
  footnote_block_open: () => '<section class="footnotes"><ol>',
  footnote_block_close: () => "</ol></section>",
  footnote_open: (tokens, at) => `<li data-note-text="${number(tokens[at])}" tabindex="-1">`,
  footnote_close: () => "</li>",
  footnote_anchor: () => "",
};
