/** Pictures, documents and long texts, as they stand in messages and results. */

import { copyButton } from "./copy.js";
import { button, h } from "./dom.js";
import { bytesOf, size } from "./limits.js";

const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,/;

/** Data of a kind that browsers draw; anything else stays a word. */
export function picture(url) {
  if (PICTURE.test(url)) return h("img", { class: "picture", src: url, alt: "An attached picture" });
  return h("span", { class: "picture-address" }, `Picture: ${url.slice(0, 200)}`);
}

/** A file of text that is attached to a message, folded up. */
export function attachedFile({ name, text }) {
  return h("details", { class: "attached-file" },
    h("summary", {}, name, h("small", {}, `${text.length.toLocaleString()} characters`)),
    longText(text, 4000, `Copy ${name}`));
}

/** A picture, a text or a PDF of a message: its part in the API. */
export function attachedPart({ image_url: image, document: paper }) {
  if (image) return picture(image.url);
  const { inline_data: data, inline_text: text } = paper.source;
  const name = paper.name || "A document";
  if (text !== undefined) return attachedFile({ name, text });
  const bytes = h("small", {}, size(bytesOf(data.length)));
  return h("a", { class: "attached-file", href: `data:${paper.mime_type};base64,${data}`, download: name }, name, bytes);
}

/** A long text with its end folded away. `name` says what its button copies, which is all of it. */
export function longText(text, shown = 4000, name = "Copy text") {
  const output = h("pre", { class: "output", tabindex: "0" }, text.slice(0, shown));
  const node = h("div", { class: "code" }, output, copyButton(name, () => text));
  if (text.length <= shown) return [node];
  const more = button(`Show all ${text.length.toLocaleString()} characters`, () => {
    output.textContent = text;
    more.remove();
  }, { kind: "plain" });
  return [node, more];
}
