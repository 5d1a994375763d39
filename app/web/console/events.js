/** Follows a session's events: reads the stream, and attaches again where it was cut. */

import { Refused, open } from "./api.js";

const SILENCE = 40_000; // the server pings every 15 s
const FIRST_WAIT = 400;
const LONGEST_WAIT = 10_000;

/** Cuts text into events and calls `take(event, id)` for each; `id` is null for one that moves no cursor. */
export function frameReader(take) {
  let rest = "";
  return (text) => {
    const frames = (rest + text).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      let id = null;
      let data = null;
      for (const line of frame.split("\n")) {
        if (line.startsWith("id: ")) id = Number(line.slice(4));
        else if (line.startsWith("data: ")) data = line.slice(6);
      }
      if (data !== null) take(JSON.parse(data), id);
    }
  };
}

/**
 * One reader. Without a cursor the server begins with the run at work, or with what comes next; so `onFresh` is
 * awaited between attaching and the first event: a snapshot that it reads misses nothing that is not in the
 * stream. Later attachments go on behind the last event that was seen.
 *
 * `onState` hears "live", "reconnecting" and "gone". A process of an earlier version that does not know a route is no
 * reason to go: the next attempt may meet another one.
 */
export class Follower {
  constructor(sessionId, { onFresh, onEvent, onState }) {
    this.path = `api/sessions/${sessionId}/events`;
    this.hear = { onFresh, onEvent, onState };
    this.cursor = null;
    this.stopped = false;
    this.wake = () => {};
    this.stopper = new AbortController();
    this.onOnline = () => this.wake();
  }

  start() {
    addEventListener("online", this.onOnline);
    this.follow();
  }

  stop() {
    this.stopped = true;
    removeEventListener("online", this.onOnline);
    this.stopper.abort();
    this.wake();
  }

  async follow() {
    for (let failures = 0; !this.stopped; ) {
      try {
        await this.read(() => (failures = 0));
      } catch (error) {
        if (this.stopped) return;
        if (error instanceof Refused && error.status === 404 && error.code !== "not_found") return this.hear.onState("gone");
        failures += 1;
      }
      if (this.stopped) return;
      this.hear.onState("reconnecting");
      await this.pause(failures);
    }
  }

  /** One attachment, to its end. */
  async read(onBytes) {
    this.stopper = new AbortController();
    let watchdog = 0;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => this.stopper.abort(), SILENCE);
    };
    alive();
    try {
      const headers = { "Baton-Wire": "later", ...(this.cursor === null ? {} : { "Last-Event-ID": String(this.cursor) }) };
      const response = await open(`${this.path}?from=run`, { headers, signal: this.stopper.signal });
      if (this.cursor === null) await this.hear.onFresh();
      if (this.stopped) return;
      this.hear.onState("live");
      const take = frameReader((event, id) => this.take(event, id));
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.stopped) return;
        alive();
        onBytes();
        take(value);
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  take(event, id) {
    if (this.stopped || (id !== null && this.cursor !== null && id <= this.cursor)) return;
    if (id !== null) this.cursor = id;
    this.hear.onEvent(event);
  }

  pause(failures) {
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** failures);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, longest * (0.5 + Math.random() / 2));
      this.wake = () => (clearTimeout(timer), resolve());
    });
  }
}
