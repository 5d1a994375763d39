/** The page of one session: its head, the conversation, what is asked, what waits, and where one writes. */

import { get, post, postOnce } from "./api.js";
import { mayAct } from "./caller.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { confirm } from "./dialogs.js";
import { announce, h } from "./dom.js";
import { Follower } from "./events.js";
import { leaveByEsc } from "./focus.js";
import { MessageActions } from "./message_actions.js";
import { HistoryReader } from "./reader.js";
import { QuestionPanel } from "./questions.js";
import { QueuePanel } from "./queue.js";
import { inWords } from "./refusals.js";
import { RetryPanel } from "./retry.js";
import { SessionHead } from "./head.js";
import { Transcript } from "./transcript.js";
import { LIVE, claim, holderOf } from "./words.js";

const LOOK = 5_000; // how often a live run's row and its queue are looked at, besides when events tell of a change
const HIDDEN_FOR = 60_000; // a tab out of sight gives its connection back; browsers have six per host

export class SessionPage {
  constructor(id, overview) {
    this.id = id;
    this.path = `api/sessions/${id}`;
    this.overview = overview;
    this.run = null;
    this.talk = new Conversation(id, {
      changed: () => this.changed(),
      run: (event) => this.onRunEvent(event),
      gap: () => this.reader.catchUp(),
      end: () => this.reader.readEnd(),
      cut: (item) => this.reader.complete(item),
    });
    this.reader = new HistoryReader(this.path, this.talk, {
      read: (session) => this.wasRead(session),
      look: () => this.look(),
      busy: (is) => this.transcript.list.setAttribute("aria-busy", String(is)),
    });
    this.transcript = new Transcript();
    this.questions = new QuestionPanel(id, {
      named: (agent) => this.talk.named(agent),
      onAnswered: (words) => (this.composer.say(words), this.look()),
      onApprovedAll: () => this.reload(),
      onLeft: () => this.transcript.scroller.focus({ preventScroll: true }),
    });
    this.queue = new QueuePanel(id, (words) => this.composer.say(words), () => this.look(), (text) => this.composer.append(text));
    this.again = new RetryPanel(() => this.retry());
    this.head = new SessionHead(id, () => this.reload());
    this.composer = new Composer({
      draftKey: id,
      agents: overview.agents,
      agent: overview.agentOf(id),
      session: this.path,
      send: (message, how) => this.send(message, how),
      lastOwn: () => !this.run && this.actions.editLast(),
      stop: () => this.stop(),
    });
    this.actions = new MessageActions(this);
    this.foot = h("div", { class: "foot-panels" }, this.questions.node, this.again.node, this.queue.node,
      mayAct() ? this.composer.node : h("p", { class: "onlooker" }, "Your token may look on, and change nothing."));
    leaveByEsc(this.foot, () => this.transcript.scroller);
    this.node = h("div", { class: "session" }, this.head.node, this.transcript.node, this.foot);
    if (mayAct()) this.composer.attachments.takeFrom(this.node);
    this.transcript.node.addEventListener("retry", () => this.retry());
    this.onVisibility = () => this.visibility();
    this.onListed = () => this.listed();
  }

  start() {
    document.addEventListener("visibilitychange", this.onVisibility);
    this.overview.addEventListener("change", this.onListed);
    this.timer = setInterval(() => this.run && !document.hidden && this.look(), LOOK);
    this.attach();
  }

  close() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.overview.removeEventListener("change", this.onListed);
    clearInterval(this.timer);
    clearTimeout(this.hiding);
    this.follower?.stop();
    this.follower = null;
    this.actions.close();
    this.transcript.close();
  }

  attach() {
    this.follower = new Follower(this.id, {
      onFresh: () => this.reader.begin(),
      onEvent: (event) => this.reader.hear(event),
      onState: (state) => this.connection(state),
    });
    this.follower.cursor = this.cursor ?? null;
    this.follower.start();
  }

  /** Titles that are made late, or given elsewhere, are told by no event. */
  listed() {
    const one = this.overview.sessions.find((session) => session.id === this.id);
    if (!this.run && one?.num_messages < this.listedCount) this.reader.readEnd(); // taken back elsewhere
    this.listedCount = one?.num_messages;
    const title = one?.title ?? "";
    if (title === this.listedTitle) return;
    if (this.listedTitle !== undefined) this.head.title((this.talk.title = title));
    this.listedTitle = title;
  }

  visibility() {
    clearTimeout(this.hiding);
    if (!document.hidden && !this.follower) this.attach();
    if (document.hidden) {
      this.hiding = setTimeout(() => {
        this.cursor = this.follower?.cursor;
        this.follower?.stop();
        this.follower = null;
      }, HIDDEN_FOR);
    }
  }

  connection(state) {
    if (state === "gone" && !this.seen) return this.unknown();
    this.head.connection(state);
    this.node.dataset.connection = state;
    if (state === "gone") this.deleted();
  }

  /** There is nothing to show, and nobody to write to. */
  unknown() {
    this.close();
    this.node.dataset.connection = "unknown";
    this.node.replaceChildren(h("div", { class: "welcome", role: "alert" },
      h("p", {}, "There is no such session: it was deleted, or it is somebody else’s."),
      h("p", {}, h("a", { href: "#/" }, "All sessions"))));
  }

  /** What was read stays, and so does what was being written, to be copied. */
  deleted() {
    this.setRun(null);
    this.gone = true;
    this.again.show(null);
    this.queue.show([]);
    this.head.menu.hidden = true;
    this.composer.closed("This session was deleted. What you have written can still be copied.");
  }

  wasRead(session) {
    this.seen = true;
    this.head.session(session);
    this.setRun(session.run ?? null);
  }

  /** The session's title and switches; its messages are as they were. */
  async reload() {
    const session = await get(`${this.path}?limit=0`);
    this.talk.title = session.title;
    this.head.session(session);
  }

  changed() {
    this.transcript.show(this.talk.items);
    this.head.title(this.talk.title);
    this.head.usage(this.talk.usage);
  }

  /** Something happened to the run: what is asked is settled unless its row still says so. */
  onRunEvent(event) {
    if (event.type === "session_exited") return this.connection("gone");
    if (event.type === "stream_stopped") this.justEnded = true;
    if (this.run?.waiting_for && !isQuestion(event)) this.setRun({ ...this.run, status: "running", waiting_for: undefined });
    clearTimeout(this.looking);
    this.looking = setTimeout(() => this.look(), 30);
  }

  /** Reads who has the session, and what waits. */
  async look() {
    try {
      const [runs] = await Promise.all([get(`api/runs?session=${this.id}`), this.queue.refresh()]);
      const [latest] = runs;
      this.latest = latest;
      if (latest && latest.id !== this.used) this.composer.use(latest.agent.split("/")[0]);
      this.used = latest?.id;
      this.setRun(latest && LIVE.includes(latest.status) ? latest : null);
      if (this.justEnded && !this.run) this.tellEnd(latest);
    } catch {
      // looked at again soon
    }
  }

  tellEnd(run) {
    this.justEnded = false;
    this.head.model.refresh();
    announce(run?.status === "finished" ? "The agent is done" : `The run ended: ${run?.status}`);
    this.overview.refresh();
  }

  setRun(run) {
    if (this.gone) return;
    this.run = run;
    const working = run ?? this.latest;
    if (working) this.talk.team = working.agent.split("/")[0];
    this.head.run(run);
    this.composer.state(run);
    this.questions.show(run?.waiting_for ?? null);
    this.queue.rest(!run);
    this.talk.offerRetry(this.again.show(run ? null : this.latest));
    this.transcript.show(this.talk.items);
  }

  /** Does the last turn again, if it did not end well. */
  async retry() {
    if (this.again.node.hidden) return;
    this.talk.offerRetry(this.again.show(null));
    try {
      const { turn_id: turn } = await postOnce(`${this.path}/retry`, {});
      claim(turn);
      this.transcript.showEnd();
    } catch (error) {
      this.composer.say(error.code === "nothing_to_retry" ? "There is nothing to try again: the last turn did not fail." : inWords(error));
    }
    this.look();
  }

  async send(message, how) {
    try {
      if (how === "run") await this.begin(message);
      else await postOnce(`${this.path}/${how === "steer" ? "steer" : "followup"}`, [message]);
    } catch (error) {
      return this.refused(error);
    }
    this.transcript.showEnd();
    this.composer.focus();
    this.look();
    return true;
  }

  async begin(message) {
    const { run } = await postOnce(`${this.path}/agent/${this.composer.address}?stream=false`, [message]);
    if (!run) return;
    claim(run.id);
    this.setRun(run);
  }

  /** Somebody else was faster, or nothing runs any more: the text stays, and the page shows who has the session. */
  refused(error) {
    const busy = error.status === 409 && error.body?.run;
    if (busy) this.setRun(error.body.run);
    const advice = busy ? " Your message was not sent; queue it, or steer." : error.code === "not_running" ? " Send it as a message." : "";
    this.composer.say(inWords(error) + advice);
    this.look();
    return false;
  }

  /** The run at work, or the last one, from inside. */
  inspect() {
    const run = this.run ?? this.latest;
    if (run) location.hash = `#/run/${run.id}`;
  }

  async stop() {
    if (!this.run) return;
    const { run } = this;
    const own = holderOf(run) === "started in this tab";
    if (!own && !(await confirm("Stop this run?", `${run.agent}, ${holderOf(run)}.`, "Stop it"))) return;
    try {
      await post(`${this.path}/cancel`, { run_id: run.id });
    } catch (error) {
      if (error.code !== "not_running") this.composer.say(inWords(error));
    }
    this.look();
  }
}

const isQuestion = (event) =>
  ["tool_call_confirmation", "elicitation_request", "max_iterations_reached", "runtime_paused", "user_message"].includes(event.type);
