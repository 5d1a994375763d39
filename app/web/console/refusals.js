/** A refusal of the server, for a person. */

import { holderOf } from "./words.js";

export function inWords(error) {
  const { code, body } = error;
  if (code === "answered_already") {
    const by = body.decided_by ? ` by ${body.decided_by}` : "";
    return `Somebody was faster: this was decided${by} (${body.decision}).`;
  }
  if (code === "nothing_to_answer") return "Nothing is asked any more.";
  if (code === "taken_already") return "Too late: the message is in the conversation already.";
  if (code === "queue_full") return "The queue is full: 50 messages wait already.";
  if (body?.run) return `${body.run.agent} has the session (${holderOf(body.run)}).`;
  return error.message;
}
