/** A session as Markdown, for people. */

import { partsOf } from "./message_content.js";
import { nameOf } from "./words.js";

export function asMarkdown(session) {
  const parts = [`# ${oneLine(nameOf(session))}`, `Made ${session.created_at}, session \`${session.id}\``];
  for (const entry of session.messages ?? []) {
    if (entry.implicit && entry.message.role === "user") continue;
    parts.push(...(entry.message.role === "tool" ? result(entry) : said(entry)));
  }
  return `${parts.join("\n\n")}\n`;
}

function said({ message, agentName, partial }) {
  const speaker = message.role === "user" ? "User" : agentName || "Agent";
  const attached = partsOf(message).map((part) => (part.document ? `*(${oneLine(part.document.name || "a document")})*` : "*(a picture)*"));
  const calls = (message.tool_calls ?? []).map((call) => `Calls \`${call.function.name}\`:\n\n${fenced(call.function.arguments ?? "", "json")}`);
  const words = [message.content, ...attached, ...calls].filter(Boolean);
  return words.length ? [`## ${oneLine(speaker)}${partial ? ` (${partial})` : ""}`, ...words] : [];
}

const result = ({ message }) => [message.is_error ? "Failed:" : "Result:", fenced(message.content ?? "")];

/** In a fence that is longer than any in the text, so that nothing of it gets out. */
function fenced(text, language = "") {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((ticks) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

const oneLine = (text) => text.replace(/\s+/g, " ");
