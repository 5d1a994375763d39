/** Code in the colours of its language. */

import hljs from "./vendor/highlight.js/highlight.min.js";

const MOST = 60_000; // characters; longer code stays plain

/** HTML with a class for each kind of word; null for what has no colours. */
export function highlighted(code, language) {
  if (code.length > MOST || !hljs.getLanguage(language)) return null;
  return hljs.highlight(code, { language, ignoreIllegals: true }).value;
}
