/** Reads a session's history into its conversation, and keeps apart what events tell meanwhile. */

import { get } from "./api.js";

export class HistoryReader {
  /** `page.read(session)` when it was read; `page.look()` resolves when it is known who has the session, by which agents
   * are called; `page.busy(is)` while the end of a run is read. */
  constructor(path, talk, page) {
    this.path = `${path}/history`;
    this.talk = talk;
    this.page = page;
    this.held = null;
  }

  /** Takes an event; not before the end of the run before it was read. */
  hear(event) {
    if (this.held) this.held.push(event);
    else this.talk.apply(event);
  }

  /** Everything as it is stored, from the beginning. Refused, Unreachable. */
  async begin() {
    const [session] = await Promise.all([get(this.path), this.page.look()]);
    this.talk.incomplete = false;
    this.talk.reset(session);
    this.page.read(session);
  }

  /** A message that its event told only in part, for its length. */
  async complete(item) {
    try {
      this.talk.complete(item, await get(this.path));
    } catch {
      // the next reading of the history shows it
    }
  }

  /** After a gap: what is stored, and with it what only events told. What is asked for while a history is on its way is
   * not in that one: it is read once more. */
  catchUp() {
    this.stale = true;
    this.catchingUp ??= (async () => {
      try {
        while (this.stale) {
          this.stale = false;
          const session = await get(this.path);
          this.talk.reset(session, { keepNotes: true });
          this.page.read(session);
        }
      } catch {
        // the stream is about to be cut too, and begins anew
      } finally {
        this.catchingUp = null;
      }
    })();
  }

  /** After an end that was not told whole, and when something was taken back. What is told meanwhile, of the next run,
   * comes on top of what is read. One reading after the other. */
  readEnd() {
    const earlier = this.reading;
    this.reading = (async () => (await earlier, await this.readAgain()))();
    return this.reading;
  }

  async readAgain() {
    this.held = [];
    this.page.busy(true);
    try {
      await this.catchingUp;
      const session = await get(this.path);
      this.talk.reset(session, { keepNotes: true, between: true });
      this.page.read(session);
    } catch {
      // what events told stays
    }
    const { held } = this;
    this.held = null;
    this.page.busy(false);
    for (const event of held) this.hear(event);
  }
}
