/** A run's questions to a person: may this call run, may it go on, and forms. */

import { get, post } from "./api.js";
import { ArgumentsEditor } from "./arguments.js";
import { mayAct } from "./caller.js";
import { confirm } from "./dialogs.js";
import { preview } from "./diff.js";
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
    const key = question ? JSON.stringify({ ...question, preview: undefined }) : null;
    if (key === this.asked) return;
    this.asked = key;
    this.question = question;
    this.editor = null;
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
    this.details = h("div", {}, asked(question.arguments ?? {}));
    this.editor = null;
    this.choices = h("div", { class: "answers" },
      button("Approve", () => this.approve("approve"), { kind: "primary", title: "a" }),
      button("Edit…", () => this.edit(), { title: "e — change the arguments, then approve" }),
      button(`Always ${revealed(question.tool)}`, () => this.approve("approve-tool"), { title: "t — every later call of this tool in this session" }),
      button("Approve all…", () => this.approveAll(), { title: "Every later call in this session" }),
      h("span", { class: "reject" }, this.reason, button("Reject", () => this.reject(), { kind: "danger", title: "x" })),
    );
    this.load();
    return [h("h2", {}, `${this.named(question.agent)} wants to call `, h("code", {}, revealed(question.tool))), this.details, this.choices];
  }

  /** What helps to decide and is not in the run's row: the schema of the arguments, and the change to a file. */
  async load() {
    const { asked: key, question, details } = this;
    this.whole = get(`${this.path}/question`).catch(() => null);
    const whole = await this.whole;
    if (this.asked !== key || whole?.call_id !== question.call_id || !whole.preview || this.editor) return;
    const shown = whole.preview;
    const given = asked(question.arguments ?? {});
    const all = shown.diff && !shown.left_out ? h("details", { class: "all" }, h("summary", {}, "All arguments"), given) : given;
    details.replaceChildren(preview(shown), all);
  }

  /** Lets the person change the arguments. For keys: does nothing when there are none. */
  async edit() {
    if (this.question?.kind !== "approval" || this.editor || !mayAct()) return;
    const { asked: key, question } = this;
    const whole = await this.whole;
    if (this.asked !== key || this.editor) return;
    this.editor = new ArgumentsEditor(question.arguments ?? {}, whole?.schema);
    const send = (event) => {
      event.preventDefault();
      if (this.editor.check()) this.answer("resume", { confirmation: "approve", arguments: this.editor.value() });
    };
    const keys = (event) => {
      if (event.key === "Escape") this.leaveEditor();
      else if (event.key === "Enter" && event.ctrlKey) send(event);
    };
    const form = h("form", { class: "edited", novalidate: true, on: { submit: send, keydown: keys } }, this.editor.node,
      h("div", { class: "answers" },
        h("button", { type: "submit", class: "button primary", title: "Ctrl+Enter" }, "Approve with changes"),
        button("Back", () => this.leaveEditor(), { kind: "plain", title: "Esc" })));
    this.before = [...this.details.childNodes];
    this.details.replaceChildren(form);
    this.choices.hidden = true;
    this.editor.focus();
  }

  leaveEditor() {
    this.editor = null;
    this.words.textContent = "";
    this.details.replaceChildren(...this.before);
    this.choices.hidden = false;
    this.choices.querySelector("button").focus();
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
    if (!this.question || this.question.kind === "elicitation" || this.editor) return;
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
