/** A stored session, as the items of a conversation. */

/** One item per message, except that a result joins the call that it belongs to. */
export function itemsOf(session, named = (agent) => agent) {
  const items = [];
  const calls = new Map();
  const asked = session.run?.waiting_for?.call_id;
  (session.messages ?? []).forEach((entry, position) => {
    const { message } = entry;
    if (message.role === "tool") return addResult(calls.get(message.tool_call_id), message);
    if (entry.implicit && message.role === "user") return;
    const time = Date.parse(message.created_at);
    const images = (message.multi_content ?? []).filter((part) => part.type === "image_url");
    if (message.role === "user") {
      items.push({ kind: "user", text: message.content, images, time, position, partial: entry.partial });
      return;
    }
    if (message.content || message.reasoning_content) items.push(said(entry, named, time, position));
    for (const call of message.tool_calls ?? []) {
      const item = {
        kind: "tool",
        callId: call.id,
        name: call.function.name,
        arguments: call.function.arguments ?? "",
        agent: entry.agentName,
        state: session.run ? (call.id === asked ? "asking" : "running") : "stopped",
        output: "",
        position,
      };
      calls.set(call.id, item);
      items.push(item);
    }
  });
  items.forEach((item, index) => Object.assign(item, { key: `stored-${item.position}-${index}`, version: 0, depth: 0 }));
  return items;
}

function said(entry, named, time, position) {
  const { message } = entry;
  return {
    kind: "assistant",
    agent: named(entry.agentName),
    text: message.content ?? "",
    thinking: message.reasoning_content ?? "",
    partial: entry.partial,
    time,
    position,
  };
}

function addResult(item, message) {
  if (!item) return;
  const parts = (message.multi_content ?? []).filter((part) => part.type === "image_url");
  item.images = parts.map((part) => part.image_url.url);
  item.state = outcome(Boolean(message.is_error), message.content);
  item.output = message.content;
}

/** The outcome of a call, from its result: a person's refusal is told in the words that the model reads. */
export function outcome(isError, output) {
  if (!isError) return "done";
  return output.startsWith("The user rejected") ? "rejected" : "failed";
}
