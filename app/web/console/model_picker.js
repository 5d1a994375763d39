/** The model of a session's agent: which one answers, how full its window is, how much it thinks; and another choice. */

import { call, get } from "./api.js";
import { mayAct } from "./caller.js";
import { dialog, show } from "./dialogs.js";
import { button, h } from "./dom.js";
import { inWords } from "./refusals.js";

const PARTS = [
  ["system_prompt", "System prompt"], ["tool_definitions", "Tools"], ["prompt_files", "Prompt files"],
  ["messages", "Messages"], ["tool_results", "Results of tools"], ["compaction_summary", "Summary"],
];

const short = (model) => model.split("/").at(-1);
const tokens = (number) => (number < 1000 ? String(number) : number < 1e6 ? `${Math.round(number / 1000)}k` : `${(number / 1e6).toFixed(1).replace(/\.0$/, "")}M`);
const sum = (context) => PARTS.reduce((all, [part]) => all + context[part].tokens, 0);

/** A field for the model of a session that does not exist yet: `value` is empty for the agent's own. */
export function modelField() {
  const own = h("option", { value: "" }, "The agent’s own");
  const select = h("select", { id: "model" }, own);
  const node = h("div", { class: "field" }, h("label", { for: "model" }, "Model"), select);
  get("api/models").then((models) => select.append(...models.map((model) => h("option", { value: model }, model))), () => (node.hidden = true));
  return {
    node,
    own: (model) => (own.textContent = model ? `The agent’s own: ${model}` : "The agent’s own"),
    get value() { return select.value; },
  };
}

export class ModelPicker {
  /** `path` is the session's. */
  constructor(path) {
    this.path = path;
    this.name = h("span", { class: "name" });
    this.share = h("span", { class: "share" });
    this.bar = h("meter", { min: 0, max: 1, high: 0.8, optimum: 0, "aria-hidden": "true" });
    this.node = button("", () => this.choose(), { kind: "plain model", hidden: true });
    this.node.replaceChildren(h("span", { class: "unseen" }, "Model "), this.name, this.bar, this.share);
  }

  /** Before its first run nobody knows a session's agent: there is nothing to show then. */
  async refresh() {
    try {
      this.context = await get(`${this.path}/context`);
      this.draw();
    } catch {
      this.node.hidden = !this.context; // what was shown stays
    }
  }

  draw() {
    const { model, context_limit: limit } = this.context;
    const used = sum(this.context);
    const share = limit ? Math.min(1, used / limit) : 0;
    this.node.hidden = false;
    this.name.textContent = short(model);
    this.share.textContent = limit ? ` ${Math.round(share * 100)} %` : "";
    this.bar.hidden = !limit;
    this.bar.value = share;
    const fill = limit ? `${used.toLocaleString()} of ${limit.toLocaleString()} tokens of its window are used, about ${Math.round(share * 100)} %` : `about ${used.toLocaleString()} tokens`;
    this.node.title = `${model}: ${fill}`;
  }

  async choose() {
    const problem = h("p", { class: "problem", role: "alert" });
    const content = h("div", { class: "model-choice" }, await this.fields(), this.table(), problem);
    const node = dialog("Model", content, mayAct() ? { yes: "Use it" } : { yes: "Close", no: null });
    if (mayAct()) {
      node.querySelector("form").addEventListener("submit", (event) => {
        event.preventDefault();
        event.stopImmediatePropagation();
        this.save().then(() => node.close("yes"), (error) => (problem.textContent = inWords(error)));
      }, { capture: true });
    }
    await show(node);
    await this.refresh();
  }

  /** What can be chosen; nothing for who may only look on. */
  async fields() {
    if (!mayAct()) return null;
    const [own, all, thinking] = await Promise.all([
      get(`${this.path}/models`).catch(() => ({ models: [] })),
      get("api/models").catch(() => []),
      get(`${this.path}/thinking-level`).catch(() => null),
    ]);
    const listed = new Set(own.models.flatMap(({ ref, provider, model }) => [ref, `${provider}/${model}`]));
    const current = own.models.find((one) => one.is_current)?.ref ?? "";
    const option = (ref, words) => h("option", { value: ref, selected: ref === current }, words);
    this.model = h("select", { id: "session-model" },
      own.models.map((one) => option(one.ref, [one.ref, one.is_default ? " (the agent’s own)" : "", price(one)].join(""))),
      all.filter((ref) => !listed.has(ref)).map((ref) => option(ref, ref)));
    this.before = { model: current, level: thinking?.current ?? "", isOwn: own.models.find((one) => one.is_default)?.ref };
    this.level = thinking && h("select", { id: "thinking-level" },
      !thinking.current && h("option", { value: "" }, "As the agent’s file says"),
      thinking.levels.map((level) => h("option", { value: level, selected: level === thinking.current }, level)));
    return [
      h("div", { class: "field" }, h("label", { for: "session-model" }, "Model that answers"), this.model),
      this.level && h("div", { class: "field" }, h("label", { for: "thinking-level" }, "Thinking"), this.level),
      h("p", { class: "hint" }, "It counts from the next run on. Another model begins with its own thinking."),
    ];
  }

  table() {
    const { context_limit: limit } = this.context;
    const rows = PARTS.filter(([part]) => this.context[part].tokens).map(([part, name]) =>
      h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, tokens(this.context[part].tokens)), h("td", {}, limit ? `${((100 * this.context[part].tokens) / limit).toFixed(1)} %` : "")));
    return h("table", { class: "context" },
      h("caption", {}, limit ? `The window: ${tokens(sum(this.context))} of ${tokens(limit)} tokens, as estimated` : "Tokens of the next request, as estimated"),
      h("tbody", {}, rows));
  }

  /** Refused. */
  async save() {
    const { model, level, before } = { model: this.model.value, level: this.level?.value, before: this.before };
    if (model !== before.model) await call("PATCH", `${this.path}/model`, { model: model === before.isOwn ? "" : model });
    else if (level && level !== before.level) await call("PATCH", `${this.path}/thinking-level`, { level });
  }
}

const price = ({ input_cost: input, output_cost: output }) => (input === undefined ? "" : ` · $${input} / $${output}`);
