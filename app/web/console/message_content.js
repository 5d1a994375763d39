/** A message as it is posted, and the text files within its words: each stands in a frame that names it, behind the words. */

const FRAME = /(?:^|\n\n)<file name="([^"\n]*)">\n([\s\S]*?)\n<\/file>(?=\n\n<file name="[^"\n]*">\n|$)/g;

/** The words alone, and the files as `{name, text}`. */
export function parted(text) {
  const files = [...text.matchAll(FRAME)];
  const end = files.at(-1);
  if (!end || end.index + end[0].length !== text.length) return { words: text, files: [] };
  return { words: text.slice(0, files[0].index), files: files.map(([, name, content]) => ({ name, text: content })) };
}

/** Words and attachments as one message of the API. An attachment is `{name, text}` or `{name, url}`. */
export function messageOf(words, attachments = []) {
  const framed = attachments.filter((one) => one.url === undefined).map(({ name, text }) => `<file name="${name}">\n${text}\n</file>`);
  const content = [words, ...framed].filter(Boolean).join("\n\n");
  const pictures = attachments.filter((one) => one.url !== undefined).map(({ url }) => ({ type: "image_url", image_url: { url } }));
  if (!pictures.length) return { role: "user", content };
  return { role: "user", multi_content: [...(content ? [{ type: "text", text: content }] : []), ...pictures] };
}

/** What was attached to a message of the conversation or of the queue, to be sent once more. */
export function attachmentsOf(text, images = []) {
  const pictures = images.map((part, at) => ({ name: `Picture ${at + 1}`, url: part.image_url.url, size: part.image_url.url.length }));
  return [...parted(text).files.map((file) => ({ ...file, size: file.text.length })), ...pictures];
}
