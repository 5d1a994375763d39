/** What can be done with one message: to fork behind it, to say it otherwise, to have it answered anew, to go back to before it. */

import { post } from "./api.js";
import { mayAct } from "./caller.js";
import { confirm } from "./dialogs.js";
import { announce, button, h, icon } from "./dom.js";
import { attachmentsOf, messageOf, parted } from "./message_content.js";
import { inWords } from "./refusals.js";

const ACTS = {
  user: [["edit", "Edit and send again…"], ["fork", "Fork from here"], ["back", "Back to before this…"]],
  assistant: [["again", "Retry this answer"], ["fork", "Fork from here"]],
};

/** The menu of a message; null where nothing can be done. Its choice is an event `message-action` with `{act, item}`. */
export function actionsOf(item, current) {
  if (!mayAct() || item.depth) return null;
  const summary = h("summary", { class: "button plain", "aria-label": "Message actions", title: "Edit, retry, fork, go back" }, icon("more"));
  const items = h("div", { class: "menu-items" });
  const menu = h("details", { class: "acts" }, summary, items);
  const choose = (act) => {
    menu.open = false;
    summary.focus({ preventScroll: true });
    menu.dispatchEvent(new CustomEvent("message-action", { bubbles: true, detail: { act, item: current() } }));
  };
  menu.addEventListener("toggle", () => {
    if (menu.open) items.replaceChildren(...ACTS[item.kind].map(([act, name]) => button(name, () => choose(act), { kind: "plain" })));
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.preventDefault();
    menu.open = false;
    summary.focus();
  });
  return menu;
}

export class MessageActions {
  constructor(page) {
    this.page = page;
    page.transcript.node.addEventListener("message-action", ({ detail: { act, item } }) => this[act](item));
    this.channel = new BroadcastChannel("baton.taken-back");
    this.channel.onmessage = ({ data }) => data === page.id && page.reader.readEnd();
  }

  close() {
    this.channel.close();
  }

  /** Those that people and agents have said from this one on, without tasks. */
  from(item) {
    const { items } = this.page.talk;
    return items.slice(items.indexOf(item)).filter((one) => !one.depth && (one.kind === "user" || one.kind === "assistant"));
  }

  async fork({ id }) {
    try {
      const { session } = await post(`${this.page.path}/branches`, { message_id: id });
      announce("This is a fork");
      await this.page.overview.refresh(); // it knows then whose the fork is
      location.hash = `#/session/${session.id}`;
    } catch (error) {
      this.refused(error);
    }
  }

  edit(item) {
    let undone = false;
    this.page.composer.revise({
      label: `Sending takes back ${this.many(item)}, and says this instead.`,
      text: parted(item.text).words,
      attachments: attachmentsOf(item.text, item.parts),
      send: async (message) => {
        undone ||= await this.takeBack(item);
        return undone && this.begin(message);
      },
    });
  }

  /** Begins to change what the person has said last; false if that is nothing. */
  editLast() {
    const item = this.page.talk.items.findLast((one) => one.kind === "user" && !one.depth && one.id);
    if (item) this.edit(item);
    return Boolean(item);
  }

  async again(item) {
    const { items } = this.page.talk;
    const asked = items.slice(0, items.indexOf(item)).findLast((one) => one.kind === "user" && !one.depth);
    if (!asked) return this.page.composer.say("There is no message of yours before this answer.");
    const later = this.from(item).some((one) => one.kind === "user");
    if (later && !(await confirm("Retry this answer?", `${capital(this.many(asked))} are taken back, and your message is sent again. What tools have done stays done.`, "Retry"))) return;
    const message = messageOf(parted(asked.text).words, attachmentsOf(asked.text, asked.parts));
    if ((await this.takeBack(asked)) && !(await this.begin(message))) this.putBack(asked);
  }

  async back(item) {
    const sure = await confirm("Go back to before this message?", `${capital(this.many(item))} can’t be brought back. What tools have done stays done.`, "Go back");
    if (sure && (await this.takeBack(item))) this.putBack(item);
  }

  many(item) {
    const after = this.from(item).length - 1;
    return after ? `this message and the ${after} after it` : "this message";
  }

  /** So that its words are not lost. */
  putBack(item) {
    const { composer } = this.page;
    if (composer.text.value) return;
    composer.attachments.all = [...composer.attachments.all, ...attachmentsOf(item.text, item.parts)];
    const problem = composer.problem.textContent;
    composer.write(parted(item.text).words);
    composer.say(problem);
  }

  /** The message and all that came after it; true if they are gone. */
  async takeBack({ id }) {
    try {
      await post(`${this.page.path}/undo`, { message_id: id });
    } catch (error) {
      this.refused(error);
      return false;
    }
    this.channel.postMessage(this.page.id);
    await this.page.reader.readEnd();
    announce("Taken back");
    return true;
  }

  async begin(message) {
    try {
      await this.page.begin(message);
    } catch (error) {
      return this.page.refused(error);
    }
    this.page.transcript.showEnd();
    this.page.look();
    return true;
  }

  refused(error) {
    const { composer, reader } = this.page;
    if (error.status === 409 && error.body?.run) this.page.setRun(error.body.run);
    if (error.code === "unknown_message") {
      composer.say("This message is gone: somebody has taken it back.");
      return void reader.readEnd();
    }
    composer.say(error.status === 409 ? `${inWords(error)} Nothing was changed.` : inWords(error));
    this.page.look();
  }
}

const capital = (words) => words[0].toUpperCase() + words.slice(1);
