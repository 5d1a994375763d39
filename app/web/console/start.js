/** The page of a session that does not exist yet: it is made together with its first message. */

import { get, post, postOnce } from "./api.js";
import { Composer } from "./composer.js";
import { h, icon } from "./dom.js";
import { leaveByEsc } from "./focus.js";
import { MarkdownView } from "./markdown.js";
import { modelField } from "./model_picker.js";
import { confirmUnasked } from "./questions.js";
import { inWords } from "./refusals.js";
import { claim } from "./words.js";

export class StartPage {
  constructor(overview) {
    this.overview = overview;
    this.composer = new Composer({
      draftKey: "new",
      agents: overview.agents,
      agent: localStorage.getItem("baton.agent"),
      send: (message) => this.send(message),
      stop: () => {},
    });
    leaveByEsc(this.composer.node, () => document.getElementById("main"));
    this.about = h("p", { class: "about", "aria-live": "polite" });
    this.composer.agent.addEventListener("change", () => this.describe());
    this.welcome = new MarkdownView();
    this.welcome.node.classList.add("greeting");
    this.model = modelField();
    this.directory = h("input", { type: "text", id: "directory", placeholder: "The server’s own", spellcheck: "false", autocomplete: "off" });
    this.approved = h("input", { type: "checkbox", id: "approved", on: { change: () => this.confirmApproved() } });
    this.node = h("div", { class: "start" },
      h("a", { class: "button plain back", href: "#/", "aria-label": "All sessions" }, icon("back")),
      h("div", { class: "column" },
        h("h1", {}, "What should be done?"),
        this.about,
        this.welcome.node,
        this.composer.node,
        h("details", { class: "options" },
          h("summary", {}, "Options"),
          this.model.node,
          h("div", { class: "field" }, h("label", { for: "directory" }, "Directory where its tools work"), this.directory),
          h("div", { class: "field boolean" }, this.approved, h("label", { for: "approved" }, "Run every tool without asking")))));
    this.composer.attachments.takeFrom(this.node);
    this.describe();
  }

  start() {
    this.composer.focus();
  }

  close() {}

  async confirmApproved() {
    if (this.approved.checked) this.approved.checked = await confirmUnasked("Run without asking");
  }

  /** What the agent says before anybody has said something. */
  async greet() {
    const agent = this.composer.agent.value;
    const info = agent ? await get(`api/agents/${encodeURIComponent(agent)}/info`).catch(() => null) : null;
    if (agent !== this.composer.agent.value) return;
    this.welcome.node.hidden = !info?.agent.welcome_message;
    this.welcome.update(info?.agent.welcome_message ?? "");
    this.model.own(info?.agent.model ?? "");
  }

  describe() {
    this.greet();
    const agent = this.overview.agents.find((one) => one.name === this.composer.agent.value);
    this.about.textContent = agent?.description ?? (this.overview.agents.length ? "" : "The server has no agents.");
  }

  async send(message) {
    const agent = this.composer.agent.value;
    try {
      localStorage.setItem("baton.agent", agent);
      const session = await postOnce("api/sessions", { working_dir: this.directory.value.trim() || undefined, tools_approved: this.approved.checked });
      await this.begin(session.id, message);
    } catch (error) {
      this.composer.say(inWords(error));
      return false;
    }
    return true;
  }

  async begin(id, message) {
    const { run } = await post(`api/sessions/${id}/agent/${this.composer.address}?stream=false`, { messages: [message], model: this.model.value || undefined });
    claim(run.id);
    sessionStorage.removeItem("baton.draft.new");
    this.overview.refresh();
    location.hash = `#/session/${id}`;
  }
}
