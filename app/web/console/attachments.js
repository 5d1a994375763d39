/**
 * What is attached to a message before it is sent: pictures as the server takes them, PDFs, and files of text. They come by a
 * button, by pasting and by dropping. What the server would refuse, or leave out, is not taken, and it is said why.
 */

import { announce, button, h, icon } from "./dom.js";
import { bytesOf, limits, size } from "./limits.js";

const KINDS = { "image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WebP" };
const PDF = "application/pdf";
const kept = new Map(); // by draft: what is attached stays when the page shows another session

export class Attachments {
  /** `changed()` after each change; `say(words)` for a person. */
  constructor(draftKey, { changed, say }) {
    this.key = draftKey;
    this.hear = { changed, say };
    this.chosen = h("input", { type: "file", multiple: true, hidden: true, "aria-label": "Files to attach", on: { change: () => this.choose() } });
    this.button = button("Attach", () => this.chosen.click(), { kind: "attach", symbol: "attach", title: "Attach pictures, PDFs or text files; you can paste and drop them, too" });
    this.list = h("ul", { class: "attachments", "aria-label": "Attachments", hidden: true });
    this.tell();
    this.draw();
  }

  get all() {
    return kept.get(this.key) ?? [];
  }

  set all(those) {
    if (those.length) kept.set(this.key, those);
    else kept.delete(this.key);
    this.draw();
    this.hear.changed();
  }

  /** Those of another draft from now on, which has `all` if they are given; without, those that it had. */
  use(draftKey, all = kept.get(draftKey) ?? []) {
    this.key = draftKey;
    this.all = all;
  }

  /** The limits are told on the button, before anything is chosen. */
  async tell() {
    const most = await limits();
    if (!most) return;
    const { pictures, documents } = most;
    const kinds = pictures.types.map((type) => KINDS[type] ?? type).join(", ");
    this.button.title = `Attach pictures (${kinds}; ${size(bytesOf(pictures.max_characters))} each, at most ${pictures.max_count}), PDFs (${size(bytesOf(documents.max_characters))} each) or text files (${size(most.max_text_characters)}). You can paste and drop them, too.`;
  }

  /** Files that are pasted into, or dropped onto, this node: a page, for a file that misses the field would be opened by
   * the browser in its place. */
  takeFrom(node) {
    const carries = (data) => [...(data?.types ?? [])].includes("Files");
    node.addEventListener("paste", (event) => {
      if (!carries(event.clipboardData) || !event.clipboardData.files.length) return;
      event.preventDefault();
      this.add([...event.clipboardData.files]);
    });
    node.addEventListener("dragover", (event) => {
      if (!carries(event.dataTransfer)) return;
      event.preventDefault();
      node.classList.add("dropping");
    });
    node.addEventListener("dragleave", (event) => !node.contains(event.relatedTarget) && node.classList.remove("dropping"));
    node.addEventListener("drop", (event) => {
      node.classList.remove("dropping");
      if (!carries(event.dataTransfer)) return;
      event.preventDefault();
      this.add([...event.dataTransfer.files]);
    });
  }

  choose() {
    const files = [...this.chosen.files];
    this.chosen.value = ""; // the same file can be chosen again
    this.button.focus();
    return this.add(files);
  }

  async add(files) {
    const problems = [];
    for (const file of files) {
      try {
        this.all = [...this.all, await this.read(file)];
      } catch (error) {
        problems.push(error instanceof Unfit ? error.message : `${file.name} can’t be read.`);
      }
    }
    this.hear.say(problems.join(" "));
    if (!problems.length) announce(`${files.length === 1 ? files[0].name : `${files.length} files`} attached`);
  }

  /** Unfit, and whatever a browser throws for a file that it can't read. */
  async read(file) {
    const most = await limits();
    const isPicture = most ? most.pictures.types.includes(file.type) : file.type in KINDS;
    const one = await (isPicture ? pictureOf(file, most?.pictures) : file.type === PDF ? pdfOf(file, most?.documents) : textOf(file, most));
    if (most) this.refuseTooMuch(one, most);
    return one;
  }

  /** Together with what is attached already. */
  refuseTooMuch(one, most) {
    const pictures = [...this.all, one].filter(({ url }) => url !== undefined);
    const { max_count: count, max_kept_characters: single, max_characters_together: together } = most.pictures;
    if (pictures.length > count) throw new Unfit(`${one.name}: a message has at most ${count} pictures.`);
    const sum = pictures.reduce((all, { url }) => all + Math.min(url.length, single), 0);
    if (one.url && sum > together) throw new Unfit(`${one.name}: the pictures of a message have at most ${size(bytesOf(together))} together.`);
    const bytes = [...this.all, one].reduce((all, { url, pdf, text }) => all + (url ?? pdf ?? text).length, 0);
    if (bytes > most.max_body_bytes - 65_536) throw new Unfit(`${one.name}: a message has at most ${size(most.max_body_bytes)}.`);
  }

  remove(one) {
    const at = this.all.indexOf(one);
    this.all = this.all.filter((other) => other !== one);
    (this.list.querySelectorAll("button")[Math.min(at, this.all.length - 1)] ?? this.button).focus();
    announce(`${one.name} removed`);
  }

  draw() {
    this.list.hidden = !this.all.length;
    this.list.replaceChildren(...this.all.map((one) =>
      h("li", {},
        one.url === undefined ? h("span", { class: "kind" }, one.pdf ? "PDF" : "TXT") : h("img", { src: one.url, alt: "" }),
        h("span", { class: "name", title: one.name }, one.name),
        h("small", {}, size(one.size)),
        h("button", { type: "button", class: "button plain", "aria-label": `Remove ${one.name}`, title: "Remove", on: { click: () => this.remove(one) } }, icon("close")))));
  }
}

/** A file that is not taken; the message says why. */
class Unfit extends Error {}

async function pictureOf(file, most) {
  const url = await dataUrl(file);
  const length = url.length - url.indexOf(",") - 1;
  if (most && length > most.max_characters) throw new Unfit(`${file.name} is too large: a picture may have ${size(bytesOf(most.max_characters))}.`);
  const drawn = new Image();
  drawn.src = url;
  await drawn.decode();
  const { naturalWidth: width, naturalHeight: height } = drawn;
  if (most && Math.max(width, height) > most.max_side) throw new Unfit(`${file.name} has ${width} × ${height} pixels; a side may have ${most.max_side.toLocaleString()}.`);
  if (most && width * height > most.max_pixels) throw new Unfit(`${file.name} has ${width} × ${height} pixels; a picture may have ${(most.max_pixels / 1e6).toLocaleString()} million.`);
  return { name: file.name || "Picture", url, size: file.size };
}

async function pdfOf(file, most) {
  const url = await dataUrl(file);
  const pdf = url.slice(url.indexOf(",") + 1);
  if (most && pdf.length > most.max_characters) throw new Unfit(`${file.name} is too large: a PDF may have ${size(bytesOf(most.max_characters))}.`);
  if (!atob(pdf.slice(0, 8)).startsWith("%PDF-")) throw new Unfit(`${file.name} is no PDF.`);
  return { name: file.name || "Document", pdf, size: file.size };
}

async function textOf(file, most) {
  if (most && file.size > most.max_text_characters * 4) throw new Unfit(tooLong(file, most));
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    text = "\0";
  }
  if (text.includes("\0")) throw new Unfit(`${file.name} can’t be sent: only pictures (PNG, JPEG, GIF, WebP), PDFs and text files can.`);
  if (most && text.length > most.max_text_characters) throw new Unfit(tooLong(file, most));
  return { name: file.name.replaceAll(/["\n]/g, "'"), text: text.replaceAll("\r\n", "\n").replace(/\n$/, ""), size: file.size };
}

const tooLong = (file, most) => `${file.name} is too large: a message may have ${most.max_text_characters.toLocaleString()} characters.`;

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
