/** Says that no model answers, and how that is changed. */

import { standsIn } from "./caller.js";
import { h, icon } from "./dom.js";

/** For where one writes; null if a model answers. */
export const standInNote = () =>
  standsIn()
    ? h("p", { class: "stand-in" }, "No key is set: a stand-in plays the model. ", h("a", { href: "#/key" }, "How to set a key"))
    : null;

const code = (text) => h("code", {}, text);

/** The page `#/key`. */
export class KeyPage {
  constructor() {
    this.node = h("div", { class: "start key-page" },
      h("a", { class: "button plain back", href: "#/", "aria-label": "All sessions" }, icon("back")),
      h("div", { class: "column markdown" },
        h("h1", {}, "How to set a key"),
        h("p", {}, "The server reads the key of Anthropic’s Messages API from the variable ", code("ANTHROPIC_API_KEY"),
          " when it starts. Stop it, and start it again with the key:"),
        h("ul", {},
          h("li", {}, "from a checkout: ", code("ANTHROPIC_API_KEY=sk-ant-… make run")),
          h("li", {}, "installed: ", code("ANTHROPIC_API_KEY=sk-ant-… baton serve")),
          h("li", {}, "as a service: in the file of its environment, which no other user may read; then restart the service")),
        h("p", {}, "Until then the stand-in on the server’s machine answers. It does what the brackets in a message say, such as ",
          code("[say hello]"), ", ", code("[words 50]"), " or ", code('[call shell {"cmd": "ls"}]'),
          ", and repeats any other message. Nothing leaves the machine, and nothing costs money.")));
  }

  start() {}

  close() {}
}
