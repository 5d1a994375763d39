/** A run's questions to a person: may this call run, may it go on, and forms. */

import { post } from "./api.js";
import { mayAct } from "./caller.js";
import { confirm } from "./dialogs.js";
import { announce, button, h } from "./dom.js";
import { Form } from "./form.js";
import { inWords } from "./refusals.js";
import { revealed } from "./words.js";

export class QuestionPanel {
  /** `onAnswered` is called when the question is settled, by us or by somebody else; `onApprovedAll` when the session
   * runs tools without asking from now on; `onLeft` when what had the focus is gone with it. */
  constructor(sessionId, { named, onAnswered, onApprovedAll, onLeft }) {
    this.path = `api/sessions/${sessionId}`;
    this.named = (agent) => (agent ? revealed(named(agent)) : "The agent");
    this.onAnswered = onAnswered;
    this.onApprovedAll = onApprovedAll;
    this.onLeft = onLeft;
    this.node = h("section", { class: "question", hidden: true, "aria-label": "The agent asks" });
    this.asked = null;
  }

  /** Shows a run's `waiting_for`, or hides. The same question shown again is left as it is. */
  show(question) {
    const key = question ? JSON.stringify(question) : null;
    if (key === this.asked) return;
    this.asked = key;
    this.question = question;
    const focused = this.node.contains(document.activeElement);
    this.node.hidden = !question;
    this.node.replaceChildren();
    if (focused) this.onLeft();
    if (!question) return;
    this.words = h("p", { class: "problem", role: "alert" });
    this.node.replaceChildren(...this.parts(question), this.words);
    if (!mayAct()) this.onlyShow();
    announce(question.kind === "elicitation" ? `The agent asks: ${question.message}` : question.kind === "pause" ? "The run is paused" : "Approval needed");
  }

  parts(question) {
    if (question.kind === "approval") return this.approval(question);
    if (question.kind === "elicitation") return this.form(question);
    if (question.kind === "pause") return this.paused();
    return this.goOn(question);
  }

  /** The question, with nothing to answer it by. */
  onlyShow() {
    for (const answers of this.node.querySelectorAll(".answers")) answers.remove();
    for (const form of this.node.querySelectorAll("form")) form.inert = true;
  }

  approval(question) {
    this.reason = h("input", {
      type: "text", id: "reason", placeholder: "Reason, for the agent (optional)", "aria-label": "Reason for rejecting",
      on: { keydown: (event) => event.key === "Enter" && this.reject() },
    });
    return [
      h("h2", {}, `${this.named(question.agent)} wants to call `, h("code", {}, revealed(question.tool))),
      asked(question.arguments ?? {}),
      h("div", { class: "answers" },
        button("Approve", () => this.approve("approve"), { kind: "primary", title: "a" }),
        button(`Always ${revealed(question.tool)}`, () => this.approve("approve-tool"), { title: "t — every later call of this tool in this session" }),
        button("Approve all…", () => this.approveAll(), { title: "Every later call in this session" }),
        h("span", { class: "reject" }, this.reason, button("Reject", () => this.reject(), { kind: "danger", title: "x" })),
      ),
    ];
  }

  paused() {
    return [
      h("h2", {}, "The run is paused"),
      h("p", {}, "It goes on with its next question to the model when it is let."),
      h("div", { class: "answers" }, button("Go on", () => this.answer("pause", undefined), { kind: "primary", title: "a" })),
    ];
  }

  goOn(question) {
    const limit = question.limit ?? question.max_iterations;
    return [
      h("h2", {}, "May it go on?"),
      h("p", {}, `The agent has asked its model ${limit} times, which is its limit for one run.`),
      h("div", { class: "answers" },
        button("Go on", () => this.approve("approve"), { kind: "primary", title: "a" }),
        button("End it here", () => this.reject(), { title: "x" })),
    ];
  }

  form(question) {
    this.fields = new Form(question.schema);
    const answer = (action) => () => this.answer("elicitation", { action, ...(action === "accept" ? { content: this.fields.value() } : {}) });
    const send = (event) => {
      event.preventDefault();
      if (this.fields.check()) answer("accept")();
    };
    return [
      h("h2", {}, `${this.named(question.agent)} asks`),
      h("p", { class: "plain" }, revealed(question.message)),
      h("form", { novalidate: true, on: { submit: send } }, this.fields.node,
        h("div", { class: "answers" },
          h("button", { type: "submit", class: "button primary" }, "Answer"),
          button("Decline", answer("decline"), { title: "x" }),
          button("Cancel", answer("cancel"), { kind: "plain" }))),
    ];
  }

  async approveAll() {
    const { asked } = this;
    if (!(await confirmUnasked("Approve all")) || this.asked !== asked) return;
    await this.approve("approve-session");
    this.onApprovedAll();
  }

  /** For keys: does nothing when that is not what is asked. */
  approve(how) {
    if (!this.question || this.question.kind === "elicitation") return;
    if (this.question.kind === "pause") return how === "approve" ? this.answer("pause", undefined) : undefined;
    if (how !== "approve" && this.question.kind !== "approval") return;
    return this.answer("resume", { confirmation: how });
  }

  reject() {
    if (this.question?.kind === "elicitation") return this.answer("elicitation", { action: "decline" });
    if (this.question && this.question.kind !== "pause") this.answer("resume", { confirmation: "reject", reason: this.reason?.value.trim() || undefined });
  }

  /** Where typing begins: the reason of a rejection, or a form's first field. */
  focus() {
    (this.node.querySelector("form :is(input, select, textarea)") ?? this.reason ?? this.node.querySelector("button"))?.focus();
  }

  async answer(route, body) {
    const { call_id } = this.question;
    for (const control of this.node.querySelectorAll("button")) control.disabled = true;
    try {
      await post(`${this.path}/${route}`, call_id ? { ...body, call_id } : body);
      this.onAnswered("");
    } catch (error) {
      if (["answered_already", "nothing_to_answer"].includes(error.code)) return this.onAnswered(inWords(error));
      this.words.textContent = inWords(error);
      for (const control of this.node.querySelectorAll("button")) control.disabled = false;
    }
  }
}

/** Every way to have tools run without a question asks this first. */
export const confirmUnasked = (yes) =>
  confirm(
    "Run tools without asking?",
    "Every later call in this session runs at once, whatever it does. What the agent’s permissions deny stays denied.",
    yes,
  );

/** All of what is to be approved, word for word: nothing of it may hide behind an ellipsis. */
function asked(given) {
  const entries = Object.entries(given);
  const value = (one) => h("pre", {}, revealed(typeof one === "string" ? one : JSON.stringify(one, null, 2)));
  if (!entries.length) return h("p", {}, "Without arguments.");
  const rows = entries.map(([name, one]) => [h("dt", {}, revealed(name)), h("dd", {}, value(one))]);
  return h("dl", { class: "asked", tabindex: "0", "aria-label": "Arguments" }, rows.flat());
}
