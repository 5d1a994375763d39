/**
 * The items of a conversation on the screen: only a window of them, however many there are. Above and below the
 * window stand buttons that move it, and scrolling there does the same.
 *
 * The end is followed until a person scrolls up, and again once the person is back at it. What the page itself does,
 * such as drawing, growing and scrolling to the end, changes nothing about that: `place` is where it has scrolled to.
 */

import { beforePaint, button, h } from "./dom.js";
import { viewOf } from "./items.js";
import { land } from "./landing.js";

export const MOST = 160; // items in the document at once
const STEP = 60;
const NEAR_END = 48; // pixels from the end that still count as being there
const NEAR_EDGE = 600; // pixels before the window's edge where it is moved
const UPWARDS = ["ArrowUp", "PageUp", "Home"];

export class Transcript {
  constructor() {
    this.items = [];
    this.views = new Map();
    this.first = 0;
    this.last = 0;
    this.following = true;
    this.place = 0;
    this.earlier = button("", () => this.move(-STEP), { kind: "plain edge" });
    this.later = button("", () => this.move(STEP), { kind: "plain edge" });
    this.list = h("div", { class: "items", role: "log", "aria-live": "off", "aria-label": "Conversation" });
    this.column = h("div", { class: "column" }, this.earlier, this.list, this.later);
    this.toEnd = button("Latest", () => this.showEnd(), { kind: "to-end", symbol: "down", hidden: true });
    this.scroller = h("div", { class: "transcript", tabindex: "0", "aria-label": "Conversation" }, this.column);
    this.node = h("div", { class: "transcript-frame" }, this.scroller, this.toEnd);
    this.scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.scroller.addEventListener("wheel", (event) => event.deltaY < 0 && this.leaveEnd(), { passive: true });
    this.scroller.addEventListener("keydown", (event) => this.key(event));
    this.render = this.render.bind(this);
    // what grows without our doing, such as an opened detail or a smaller window, must not lose the end
    this.sizes = new ResizeObserver(() => this.following && this.stickToEnd());
    this.sizes.observe(this.column);
    this.sizes.observe(this.scroller);
  }

  /** Shows these items soon; may be called as often as events come. */
  show(items) {
    this.items = items;
    beforePaint(this.render);
  }

  close() {
    this.sizes.disconnect();
    this.items = [];
  }

  /** Shows the message at that position as soon as it is there. */
  aim(position) {
    this.aimed = position;
    beforePaint(this.render);
  }

  render() {
    if (this.aimed !== undefined) land(this);
    const anchor = this.following ? null : this.anchor();
    this.fit();
    this.reconcile();
    this.edges();
    if (this.following) this.stickToEnd();
    else this.restore(anchor);
  }

  /** The window: at the end while following, else where it was, as far as there still are items. */
  fit() {
    const count = this.items.length;
    if (this.following) {
      this.last = count;
      if (this.first > count || this.last - this.first > MOST) this.first = count - MOST + STEP;
      if (this.last - this.first < STEP) this.first = count - STEP;
    } else if (this.last - this.first < MOST) {
      this.last = Math.min(count, this.first + MOST);
    }
    this.last = Math.min(this.last, count);
    this.first = Math.max(0, Math.min(this.first, this.last));
  }

  move(by) {
    const anchor = this.anchor();
    this.following = false;
    const count = this.items.length;
    if (by < 0) {
      this.first = Math.max(0, this.first + by);
      this.last = Math.min(this.last, this.first + MOST);
    } else {
      this.last = Math.min(count, this.last + by);
      this.first = Math.max(this.first, this.last - MOST);
    }
    this.reconcile();
    this.edges();
    this.restore(anchor);
  }

  showEnd() {
    this.following = true;
    this.render();
    this.scroller.focus({ preventScroll: true });
  }

  showBeginning() {
    this.following = false;
    this.first = 0;
    this.last = Math.min(MOST, this.items.length);
    this.reconcile();
    this.edges();
    this.scrollTo(0);
  }

  /** Makes the list's children the window's views, touching only what differs. */
  reconcile() {
    const seen = new Set();
    let at = this.list.firstChild;
    for (const item of this.items.slice(this.first, this.last)) {
      const view = this.viewed(item);
      seen.add(item.key);
      if (view.node === at) at = at.nextSibling;
      else this.list.insertBefore(view.node, at);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
    for (const key of this.views.keys()) if (!seen.has(key)) this.views.delete(key);
  }

  viewed(item) {
    let view = this.views.get(item.key);
    if (!view || view.of.kind !== item.kind || view.of.depth !== item.depth) {
      view = viewOf(item);
      this.views.set(item.key, view);
    } else if (view.of !== item || view.version !== item.version) view.update(item);
    view.of = item;
    view.version = item.version;
    return view;
  }

  edges() {
    const above = this.first;
    const below = this.items.length - this.last;
    this.earlier.hidden = above === 0;
    this.later.hidden = below === 0;
    this.earlier.textContent = `${above.toLocaleString()} earlier`;
    this.later.textContent = `${below.toLocaleString()} later`;
  }

  /** Also hears of the page's own scrolling, which is where `place` says. Upwards is away from the end unless the end
   * itself came up, because there is less to show or more room for it. */
  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const left = scrollHeight - scrollTop - clientHeight;
    const moved = scrollTop - this.place;
    this.place = scrollTop;
    if (moved < -1 && left > 1) this.following = false;
    else if (moved > 1 && left < NEAR_END && this.last === this.items.length) this.following = true;
    this.toEnd.hidden = this.following || (left < clientHeight && this.last === this.items.length);
    if (scrollTop < NEAR_EDGE && this.first > 0 && !this.following) this.move(-STEP);
    else if (left < NEAR_EDGE && this.last < this.items.length && !this.following) this.move(STEP);
  }

  /** A person begins to scroll up: the first pixels of that must not be taken back. */
  leaveEnd() {
    if (this.scroller.scrollTop > 0) this.following = false;
  }

  key(event) {
    if (event.target === this.scroller && (UPWARDS.includes(event.key) || (event.key === " " && event.shiftKey))) this.leaveEnd();
  }

  scrollTo(top) {
    this.scroller.scrollTop = top;
    this.place = this.scroller.scrollTop;
  }

  stickToEnd() {
    this.scrollTo(this.scroller.scrollHeight);
    this.toEnd.hidden = true;
  }

  /** The item at the top of the view, and how far down: the place that must not move when things around it do. */
  anchor() {
    const top = this.scroller.getBoundingClientRect().top;
    for (const node of this.list.children) {
      const box = node.getBoundingClientRect();
      if (box.bottom > top) return { node, top: box.top };
    }
    return null;
  }

  restore(anchor) {
    if (!anchor?.node.isConnected) return;
    const moved = anchor.node.getBoundingClientRect().top - anchor.top;
    if (moved) this.scrollTo(this.scroller.scrollTop + moved);
  }
}
