/** The head of a session's page: what it is called, who has it, and whether the page hears the server. */

import { post } from "./api.js";
import { mayAct } from "./caller.js";
import { button, h, icon } from "./dom.js";
import { ModelPicker } from "./model_picker.js";
import { confirmUnasked } from "./questions.js";
import { deleteButton, sessionMenu } from "./session_menu.js";
import { age, holderOf, stateText } from "./words.js";

export class SessionHead {
  /** `reload` is called when a switch of the session was set. */
  constructor(id, reload) {
    this.path = `api/sessions/${id}`;
    this.reload = reload;
    this.name = h("h1", {}, "…");
    this.chip = h("span", { class: "chip", data: { state: "free" } }, h("span", { class: "dot" }), "Free");
    this.holder = h("span", { class: "holder" });
    this.unasked = h("span", { class: "unasked", hidden: true, title: "No call is asked about in this session" }, "Runs tools without asking");
    this.line = h("span", { class: "connection", role: "status", hidden: true }, "Reconnecting…");
    this.tokens = h("span", { class: "tokens" });
    this.model = new ModelPicker(this.path);
    this.menu = h("details", { class: mayAct() ? "menu" : "sharing" },
      h("summary", { class: "button plain", "aria-label": "More", title: "More" }, icon("more")),
      h("div", { class: "menu-items" },
        sessionMenu(this),
        (this.tools = button("", () => this.toggle("tools"), { kind: "plain" })),
        (this.thinking = button("", () => this.toggle("thinking"), { kind: "plain" })),
        mayAct() && deleteButton(this)));
    for (const one of [this.tools, this.thinking]) one.hidden = !mayAct();
    this.menu.addEventListener("focusout", (event) => {
      if (!this.menu.contains(event.relatedTarget)) this.menu.open = false;
    });
    this.menu.addEventListener("keydown", (event) => {
      if (event.key === "Escape") (this.menu.open = false), this.menu.firstChild.focus();
    });
    this.node = h("header", { class: "head" },
      h("a", { class: "button plain back", href: "#/", "aria-label": "All sessions" }, icon("back")),
      h("div", { class: "titles" }, this.name, h("div", { class: "states" }, this.chip, this.unasked, this.holder, this.line)),
      this.tokens, this.model.node, this.menu);
  }

  session(session) {
    this.current = session;
    this.model.refresh();
    this.title(session.title);
    this.unasked.hidden = !session.tools_approved;
    this.tools.textContent = session.tools_approved ? "Ask before tools run" : "Run tools without asking…";
    this.thinking.textContent = session.thinking ? "Switch thinking off" : "Switch thinking on";
  }

  title(title) {
    const name = title || "Untitled session";
    if (this.name.textContent !== name) this.name.textContent = name;
  }

  usage(usage) {
    if (!usage) return;
    const cost = usage.cost ? ` · $${usage.cost.toFixed(usage.cost < 1 ? 3 : 2)}` : "";
    const used = (usage.input_tokens ?? 0) + (usage.output_tokens ?? 0);
    this.tokens.textContent = `${used.toLocaleString()} tokens${cost}`;
  }

  run(run) {
    const state = run ? run.status : "free";
    if (this.chip.dataset.state !== state) {
      this.chip.dataset.state = state;
      this.chip.replaceChildren(h("span", { class: "dot" }), stateText(state));
    }
    this.holder.textContent = run ? `${run.agent}, ${holderOf(run)} · ${age(run.started_at)}` : "";
    this.holder.title = this.holder.textContent;
  }

  connection(state) {
    this.line.hidden = state === "live";
    this.line.textContent = state === "gone" ? "This session was deleted" : "Reconnecting…";
  }

  async toggle(what) {
    this.menu.open = false;
    if (what === "tools" && !this.current.tools_approved && !(await confirmUnasked("Run without asking"))) return;
    await post(`${this.path}/${what}/toggle`);
    this.reload();
  }
}
