/** Builds DOM nodes. Text only ever enters as text: there is no way to hand it markup. */

const SVG = "http://www.w3.org/2000/svg";

/** An element. `props` are attributes; `on` holds listeners, `data` data-attributes; true and false switch one. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** A line drawing of 16 × 16, in the colour of the text around it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

const PATHS = {
  plus: "M8 3v10M3 8h10",
  back: "M10 3 5 8l5 5",
  send: "M8 13V3M3.5 7.5 8 3l4.5 4.5",
  stop: "M4.5 4.5h7v7h-7z",
  runs: "M2.5 4h11M2.5 8h7M2.5 12h9",
  help: "M6 6.2A2 2 0 1 1 8.6 8c-.4.2-.6.5-.6 1v.3M8 11.8v.1",
  close: "m4 4 8 8M12 4l-8 8",
  attach: "m13 7.5-5.2 5.2a3.1 3.1 0 0 1-4.4-4.4l5.6-5.6a2.1 2.1 0 0 1 3 3L6.5 11.2a1 1 0 0 1-1.5-1.5l4.8-4.8",
  down: "M8 3v10M3.5 8.5 8 13l4.5-4.5",
  person: "M8 8a2.6 2.6 0 1 0 0-5.2A2.6 2.6 0 0 0 8 8ZM3 13.4a5 5 0 0 1 10 0",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
};

export function button(label, act, { kind = "", title, symbol, ...props } = {}) {
  return h(
    "button",
    { type: "button", class: `button ${kind}`, title, on: { click: act }, ...props },
    symbol ? icon(symbol) : null,
    symbol ? h("span", { class: "label" }, label) : label,
  );
}

/** Says it to those who listen instead of looking. */
export function announce(text) {
  const announcer = document.getElementById("announcer");
  if (announcer.textContent !== text) announcer.textContent = text;
}

/** Replaces the children, but only if they are others: what has the focus keeps it. */
export function fill(node, ...children) {
  const wanted = children.flat(Infinity).filter(Boolean);
  const there = node.childNodes.length;
  const begins = there <= wanted.length && [...node.childNodes].every((child, i) => child === wanted[i]);
  if (begins) node.append(...wanted.slice(there));
  else node.replaceChildren(...wanted);
}

let frame = 0;
const waiting = new Set();

/** Calls `act` once before the next frame is painted, however often it is asked to. */
export function beforePaint(act) {
  waiting.add(act);
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    const acts = [...waiting];
    waiting.clear();
    for (const one of acts) one();
  });
}
