/** Markdown on the page. While a text grows, only its last blocks are parsed and built again. */

import { copyButton } from "./copy.js";
import { h } from "./dom.js";
import { codeOf, isClosed, languageOf, newParser } from "./markdown_parser.js";
import { sanitised } from "./sanitiser.js";

const TOO_LONG = 200_000;
const REST = 4; // a costly update is followed by that many times its duration in which there is none
const SHORT = 50; // milliseconds; less is not worth a timer

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

  /** Shows a text that is whole, or whose growth is known to cost little. */
  update(text) {
    clearTimeout(this.waiting);
    this.waiting = 0;
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

  /** Shows a text that grows. A block as long as a book is parsed whole, but less often: the page stays quick. */
  follow(text) {
    this.coming = text;
    if (this.waiting) return;
    const begun = performance.now();
    this.update(text);
    const pause = REST * (performance.now() - begun);
    if (pause > SHORT) this.waiting = setTimeout(() => ((this.waiting = 0), this.follow(this.coming)), pause);
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
      if (shown) change(node.children[at], shown, block);
      else node.append(nodeOf(block.html));
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

/** `{line, level, html}` for each block, with the level of the last heading so far. What grows is told apart: a list and
 * a table have `items` after what they `open` with, an open fence has its `code`. */
function blocksOf(parser, text, level) {
  const env = { level };
  const render = (some) => parser.renderer.render(some, parser.options, env);
  return groups(parser.parse(text, env)).map((group) => {
    const [first, ...inside] = group;
    level = group.findLast((token) => token.type === "heading_open")?.meta.level ?? level;
    const block = { line: first.map?.[0] ?? 0, level };
    if (/^(bullet|ordered)_list_open$/.test(first.type)) {
      const [open, items] = [render([first]), groups(inside.slice(0, -1)).map(render)];
      return Object.assign(block, { open, items, html: `${open}${items.join("")}</${first.tag}>` });
    }
    block.html = render(group);
    if (first.type === "table_open") {
      const [head, body = []] = groups(inside.slice(0, -1));
      Object.assign(block, { open: render(head), items: groups(body.slice(1, -1)).map(render) });
    } else if (first.type === "fence" && !isClosed(first)) {
      Object.assign(block, { open: `code ${languageOf(first)}`, code: codeOf(first) });
    }
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

/** Makes a node that shows one block show another. */
function change(node, shown, block) {
  if (shown.html === block.html) return;
  const alike = shown.open !== undefined && shown.open === block.open;
  if (alike && block.code?.startsWith(shown.code)) {
    node.querySelector("code").append(block.code.slice(shown.code.length));
    node.querySelector("code").normalize();
  } else if (alike && block.items && shown.items.length) changeItems(node.querySelector("tbody") ?? node, shown.items, block.items);
  else morph(node, nodeOf(block.html));
}

function changeItems(node, shown, items) {
  while (node.children.length > items.length) node.lastChild.remove();
  items.forEach((item, i) => {
    if (i >= shown.length) node.append(nodeOf(item));
    else if (item !== shown[i]) morph(node.children[i], nodeOf(item));
  });
}

/** Makes a node like another. What is alike at its beginning stays, and with it what is selected there. */
function morph(node, wanted) {
  if (node.nodeType === Node.TEXT_NODE && wanted.nodeType === Node.TEXT_NODE && wanted.data.startsWith(node.data)) {
    return node.appendData(wanted.data.slice(node.data.length));
  }
  if (!node.cloneNode(false).isEqualNode(wanted.cloneNode(false))) return node.replaceWith(wanted);
  const [before, after] = [[...node.childNodes], [...wanted.childNodes]];
  after.forEach((child, i) => {
    if (i >= before.length) node.append(child);
    else if (!before[i].isEqualNode(child)) morph(before[i], child);
  });
  for (const child of before.slice(after.length)) child.remove();
}

/** A node, with a button on each block of code. A row is only a row inside a table. */
function nodeOf(html) {
  const isRow = html.startsWith("<tr");
  const fragment = sanitised(isRow ? `<table><tbody>${html}</tbody></table>` : html);
  for (const pre of fragment.querySelectorAll("pre")) {
    const frame = h("div", { class: "code" });
    pre.replaceWith(frame);
    frame.append(pre, copyButton("Copy code", () => frame.querySelector("pre").textContent));
  }
  return isRow ? fragment.querySelector("tr") : fragment.firstElementChild;
}
