/** Markdown on the page. While a text grows, only its last blocks are parsed and built again. */

import { copyButton } from "./copy.js";
import { h } from "./dom.js";
import { codeOf, isClosed, languageOf, newParser } from "./markdown_parser.js";
import { sanitised } from "./sanitiser.js";

const TOO_LONG = 200_000;

// A definition of a link or a footnote changes what stands anywhere before it.
const DEFINITION = /^(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*\[(?:\\.|[^\]\\]){1,999}\]:/m;

const prose = newParser();
const lines = newParser({ breaks: true });

/** A node for a text that may grow. `breaks`: each line of the text is a line on the page. */
export class MarkdownView {
  constructor({ breaks = false } = {}) {
    this.parser = breaks ? lines : prose;
    this.node = h("div", { class: "markdown", on: { click: (event) => this.toNote(event) } });
    this.restart();
  }

  /** Nothing is settled: the next update parses from the beginning. Nodes stay as long as their HTML does. */
  restart() {
    this.settled = ""; // the source of blocks that can't change any more
    this.count = 0; // how many blocks these are
    this.level = 0; // of the last heading in them
    this.blocks ??= []; // of all that is on the page
  }

  update(text) {
    const source = text.replace(/\r\n?/g, "\n");
    if (source === this.source) return;
    this.source = source;
    if (!source.startsWith(this.settled)) this.restart();
    const defines = DEFINITION.test(source.slice(this.settled.length));
    if (defines) this.restart();
    const rest = source.slice(this.settled.length);
    const blocks = source.length > TOO_LONG ? plain(rest) : blocksOf(this.parser, rest, this.level);
    this.replace(blocks);
    if (!defines && source.length <= TOO_LONG) this.settle(rest, blocks);
  }

  /** Puts these blocks behind the settled ones. */
  replace(blocks) {
    const { node, count } = this;
    while (this.blocks.length > count + blocks.length) {
      this.blocks.pop();
      node.lastChild.remove();
    }
    blocks.forEach((block, i) => {
      const at = count + i;
      const shown = this.blocks[at];
      if (!shown) node.append(built(block));
      else if (!changed(node.children[at], shown, block)) node.children[at].replaceWith(built(block));
      this.blocks[at] = block;
    });
  }

  /** What begins before the last two lines can't become part of what is before it: the text grows at its end. */
  settle(rest, blocks) {
    const ends = rest.split("\n");
    let last = blocks.length - 1;
    while (last > 0 && blocks[last].line > ends.length - 3) last -= 1;
    if (last <= 0) return;
    this.settled += ends.slice(0, blocks[last].line).join("\n") + "\n";
    this.count += last;
    this.level = blocks[last - 1].level;
  }

  /** From a footnote's number to its text. */
  toNote(event) {
    const { note } = event.target.closest("[data-note]")?.dataset ?? {};
    const text = note && this.node.querySelector(`[data-note-text="${note}"]`);
    if (!text) return;
    text.scrollIntoView({ block: "nearest" });
    text.focus({ preventScroll: true });
  }
}

const plain = (text) => [{ line: 0, html: `<p class="plain">${text.replace(/[&<]/g, (sign) => `&#${sign.charCodeAt(0)};`)}</p>` }];

/** `{line, level, html}` for each block, with the level of the last heading so far; a list has its `items` and an open fence its `code`, which are what grows. */
function blocksOf(parser, text, level) {
  const env = { level };
  const tokens = parser.parse(text, env);
  const render = (some) => parser.renderer.render(some, parser.options, env);
  return groups(tokens).map((group) => {
    const [first] = group;
    level = group.findLast((token) => token.type === "heading_open")?.meta.level ?? level;
    const block = { line: first.map?.[0] ?? 0, level };
    if (first.type === "fence" && !isClosed(first)) block.code = codeOf(first);
    if (/^(bullet|ordered)_list_open$/.test(first.type)) block.items = groups(group.slice(1, -1)).map(render);
    block.open = block.items ? render([first]) : block.code === undefined ? "" : `code ${languageOf(first)}`;
    block.html = block.items ? `${block.open}${block.items.join("")}</${first.tag}>` : render(group);
    return block;
  });
}

/** The tokens, one array for each that is not inside another. */
function groups(tokens) {
  const all = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth === 0) all.push([]);
    all.at(-1).push(token);
    depth += token.nesting;
  }
  return all;
}

/** Makes a node that shows one block show another. False if that takes a new node. */
function changed(node, shown, block) {
  if (shown.html === block.html) return true;
  if (shown.open !== block.open) return false;
  if (block.items) {
    while (node.children.length > block.items.length) node.lastChild.remove();
    block.items.forEach((item, i) => {
      if (i >= shown.items.length) node.append(nodeOf(item));
      else if (item !== shown.items[i]) node.children[i].replaceWith(nodeOf(item));
    });
    return true;
  }
  if (!block.code?.startsWith(shown.code)) return false;
  node.querySelector("code").append(block.code.slice(shown.code.length));
  node.querySelector("code").normalize();
  return true;
}

const built = (block) => nodeOf(block.html);

/** A node, with a button on each block of code. */
function nodeOf(html) {
  const fragment = sanitised(html);
  for (const pre of fragment.querySelectorAll("pre")) {
    const frame = h("div", { class: "code" });
    pre.replaceWith(frame);
    frame.append(pre, copyButton("Copy code", () => pre.textContent));
  }
  return fragment.firstElementChild;
}
