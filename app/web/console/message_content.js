/** A message as it is posted, and the text files within its words: each stands in a frame that names it, behind the words. */

const FRAME = /(?:^|\n\n)<file name="([^"\n]*)">\n([\s\S]*?)\n<\/file>(?=\n\n<file name="[^"\n]*">\n|$)/g;

/** The words alone, and the files as `{name, text}`. */
export function parted(text) {
  const files = [...text.matchAll(FRAME)];
  const end = files.at(-1);
  if (!end || end.index + end[0].length !== text.length) return { words: text, files: [] };
  return { words: text.slice(0, files[0].index), files: files.map(([, name, content]) => ({ name, text: content })) };
}

/** Words and attachments as one message of the API. An attachment is `{name, text}`, `{name, url}` or `{name, pdf}`. */
export function messageOf(words, attachments = []) {
  const framed = attachments.filter((one) => one.text !== undefined).map(({ name, text }) => `<file name="${name}">\n${text}\n</file>`);
  const content = [words, ...framed].filter(Boolean).join("\n\n");
  const parts = attachments.filter((one) => one.text === undefined).map(partOf);
  if (!parts.length) return { role: "user", content };
  return { role: "user", multi_content: [...(content ? [{ type: "text", text: content }] : []), ...parts] };
}

function partOf({ name, url, pdf }) {
  if (url !== undefined) return { type: "image_url", image_url: { url } };
  return { type: "document", document: { name, mime_type: "application/pdf", source: { inline_data: pdf } } };
}

/** The parts of a message that are no words. */
export const partsOf = (message) => (message.multi_content ?? []).filter((part) => part.type !== "text");

/** What was attached to a message of the conversation or of the queue, to be sent once more. */
export function attachmentsOf(text, parts = []) {
  return [...parted(text).files.map((file) => ({ ...file, size: file.text.length })), ...parts.map(attachmentOf)];
}

function attachmentOf({ image_url: image, document: paper }, at) {
  if (image) return { name: `Picture ${at + 1}`, url: image.url, size: image.url.length };
  const { inline_data: pdf, inline_text: text } = paper.source;
  const name = paper.name || `Document ${at + 1}`;
  return pdf === undefined ? { name, text, size: text.length } : { name, pdf, size: pdf.length };
}
