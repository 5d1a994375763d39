/** The only way by which HTML enters the document: what is not on these lists is dropped. */

import DOMPurify from "./vendor/dompurify/purify.es.mjs";

const TAGS = [
  "a", "blockquote", "br", "button", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "input", "li", "ol", "p",
  "pre", "s", "section", "span", "strong", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
];
const PLAIN = [
  "aria-label", "checked", "class", "data-language", "data-note", "data-note-text", "disabled", "rel", "role", "start",
  "tabindex", "target", "type",
];

const LEADS_TO = new Set(["http:", "https:", "mailto:"]);

/** A link leads to the web or to a mailbox. */
export function mayLeadTo(target) {
  try {
    return LEADS_TO.has(new URL(target).protocol);
  } catch {
    return false;
  }
}

/** The nodes of this HTML, in a fragment. */
export function sanitised(html) {
  return DOMPurify.sanitize(html, {
    RETURN_DOM_FRAGMENT: true,
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: [...PLAIN, "href"],
    ADD_URI_SAFE_ATTR: PLAIN,
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
  });
}
