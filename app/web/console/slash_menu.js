/** The agent's commands, its skills and its tool servers' prompts, chosen by typing `/` in an empty field. */

import { get, post } from "./api.js";
import { announce, h } from "./dom.js";
import { inWords } from "./refusals.js";

const MOST = 50;

export class SlashMenu {
  /** `agent()` names the file, `session` is the session's path, if there is one; `chosen({text, agent})` gets what is to
   * be written. */
  constructor(field, { agent, session, chosen, say }) {
    this.field = field;
    this.agent = agent;
    this.session = session;
    this.hear = { chosen, say };
    this.known = new Map(); // promises of commands, by agent
    this.found = [];
    this.at = 0;
    this.left = ""; // what stood in the field when Esc closed the list
    this.list = h("ul", { role: "listbox", id: "commands", "aria-label": "Commands" });
    this.node = h("div", { class: "commands", hidden: true }, this.list);
    field.setAttribute("aria-controls", "commands");
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-haspopup", "listbox");
    field.addEventListener("blur", () => this.close());
  }

  get open() {
    return !this.node.hidden;
  }

  /** What is being written is a command's name so far. */
  get typedName() {
    return /^\/(\S*)$/.exec(this.field.value)?.[1];
  }

  /** `keeping`: what is selected stays so, as long as it is offered. */
  async typed({ keeping = false } = {}) {
    const name = this.typedName;
    if (name === undefined || this.field.value === this.left) return this.close();
    this.left = "";
    const commands = await this.all();
    if (name === this.typedName) this.show(matching(commands, name.toLowerCase()), keeping ? this.found[this.at] : null);
  }

  /** Commands of the agent, asked for once; skills and prompts are added when they come. */
  async all() {
    const key = this.agent();
    if (!this.known.has(key)) this.known.set(key, this.ask(key));
    const all = await this.known.get(key);
    if (!all) this.known.delete(key);
    return all ?? [];
  }

  /** Null if the server can't be asked now. */
  async ask(key) {
    const file = `api/agents/${encodeURIComponent(key)}/info`;
    const info = await (this.session ? get(`${this.session}/agent-info`).catch(() => get(file)) : get(file)).catch(() => null);
    if (!info) return null;
    const all = Object.entries(info.commands ?? {}).map(([name, command]) => ({ name, kind: "", ...command }));
    if (this.session) this.more(all);
    return all;
  }

  more(all) {
    const skills = get(`${this.session}/skills`).then((those) => Object.entries(those).map(([name, skill]) => ({
      name, kind: "skill", description: skill.description, instruction: `Use the skill “${name}”: ` })));
    const prompts = get(`${this.session}/mcp/prompts`).then((those) => Object.values(those)
      .filter((prompt) => !prompt.arguments.some((one) => one.required))
      .map(({ name, description }) => ({ name, kind: "prompt", description })));
    for (const source of [skills, prompts]) {
      source.then((those) => {
        if (!those.length) return;
        all.push(...those);
        this.typed({ keeping: true });
      }, () => {}); // a session without a run has none, and a tool server may be away
    }
  }

  show(found, selected = null) {
    this.found = found.slice(0, MOST);
    this.at = Math.max(0, this.found.indexOf(selected));
    this.node.hidden = !this.found.length;
    this.list.replaceChildren(...this.found.map((command, at) =>
      h("li", { role: "option", id: `command-${at}`, on: { mousedown: (event) => (event.preventDefault(), this.choose(at)) } },
        h("span", { class: "name" }, `/${command.name}`),
        command.kind && h("small", { class: "kind" }, command.kind),
        h("span", { class: "says" }, command.description || command.instruction || command.url || ""))));
    if (this.open) announce(`${this.found.length} ${this.found.length === 1 ? "command" : "commands"}`);
    this.mark();
  }

  mark() {
    if (!this.open) return this.field.removeAttribute("aria-activedescendant");
    [...this.list.children].forEach((node, at) => node.setAttribute("aria-selected", String(at === this.at)));
    this.field.setAttribute("aria-activedescendant", `command-${this.at}`);
    this.list.children[this.at].scrollIntoView({ block: "nearest" });
  }

  close() {
    this.node.hidden = true;
    this.mark();
  }

  /** True if the key was for the list. */
  key(event) {
    if (!this.open || event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.at = (this.at + (event.key === "ArrowDown" ? 1 : this.found.length - 1)) % this.found.length;
      this.mark();
    } else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey) {
      this.choose(this.at);
    } else if (event.key === "Escape") {
      this.left = this.field.value;
      this.close();
    } else return false;
    event.preventDefault();
    return true;
  }

  async choose(at) {
    const command = this.found[at];
    this.close();
    if (command.url) return this.visit(command.url);
    try {
      const text = command.kind === "prompt" ? (await post(`${this.session}/mcp/prompts/execute`, { name: command.name, args: {} })).text : command.instruction;
      this.hear.chosen({ text: text || command.description || "", agent: command.agent });
    } catch (error) {
      this.hear.say(inWords(error));
    }
  }

  /** A command may be an address for the client to open. */
  visit(url) {
    const address = url.replaceAll("{{session_id}}", this.session.split("/").at(-1));
    if (!/^https?:\/\//.test(address)) return this.hear.say(`This command opens ${address}, which is no web address.`);
    this.hear.chosen({ text: "" });
    open(address, "_blank", "noopener");
  }
}

/** First those whose name begins so, then those that have it anywhere. */
function matching(commands, typed) {
  const named = (command) => command.name.toLowerCase();
  const begins = commands.filter((one) => named(one).startsWith(typed));
  const has = commands.filter((one) => !begins.includes(one) && `${named(one)} ${one.description ?? ""}`.toLowerCase().includes(typed));
  return [...begins, ...has];
}
