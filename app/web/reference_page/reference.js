// Renders openapi.json. Everything from it enters the page as text.

import { resolve } from "./request_fields.js";
import { TryIt, forgetToken } from "./try_it.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const JSON_MEDIA = "application/json";
const FIRST = ["sessions", "runs", "messages", "queue", "agents"];

/** An element with properties and children; strings become text. */
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Text with `code` in back quotes. */
function prose(text) {
  const parts = (text ?? "").split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
  return element("span", {}, ...parts);
}

/** The values that a schema accepts, on one line. */
function kind(spec, schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  for (const union of ["anyOf", "oneOf"]) {
    if (schema[union]) return [...new Set(schema[union].map((one) => kind(spec, one)))].join(" | ");
  }
  if (schema.allOf) return schema.allOf.filter((one) => one.$ref).map((one) => kind(spec, one)).join(" & ");
  if (schema.type === "array") return `[${kind(spec, schema.items ?? {})}]`;
  return [schema.type ?? "anything", schema.format, schema.pattern].filter(Boolean).join(" ");
}

/** The same, where each name leads to its schema. */
function linkedKind(spec, schema) {
  const parts = kind(spec, schema).split(/\b(\w+)\b/).map((word, index) =>
    index % 2 && Object.hasOwn(spec.components.schemas, word) ? element("a", { href: `#schema-${word}` }, word) : word);
  return element("code", {}, ...parts);
}

/** The properties of an object, or of each that it may be. */
function fields(spec, schema) {
  const whole = resolve(spec, schema);
  const others = (whole.anyOf ?? whole.oneOf ?? []).map((one) => fields(spec, one)).filter(Boolean);
  if (others.length) return element("div", {}, ...others);
  if (!whole.properties) return null;
  const required = new Set(whole.required ?? []);
  const rows = Object.entries(whole.properties).map(([name, field]) =>
    element("tr", {},
      element("td", {}, element("code", {}, name), required.has(name) ? "" : element("span", { className: "dim" }, " ?")),
      element("td", {}, linkedKind(spec, field))));
  return element("table", {}, element("tbody", {}, ...rows));
}

function parameters(spec, list) {
  const rows = list.map((one) => resolve(spec, one)).map((one) =>
    element("tr", {},
      element("td", {}, element("code", {}, one.name), element("span", { className: "dim" }, ` ${one.in}`)),
      element("td", {}, linkedKind(spec, one.schema)),
      element("td", {}, prose(one.description))));
  return element("table", {}, element("tbody", {}, ...rows));
}

function answers(spec, responses) {
  const rows = Object.entries(responses).map(([status, response]) => {
    const [media, content] = Object.entries(response.content ?? {})[0] ?? ["", {}];
    const shape = content["x-event"] ? element("code", {}, "events") : linkedKind(spec, content.schema ?? {});
    return element("tr", {},
      element("td", {}, element("code", {}, status)),
      element("td", {}, prose(response.description)),
      element("td", {}, media ? shape : "", element("span", { className: "dim" }, media === JSON_MEDIA ? "" : ` ${media}`)));
  });
  return element("table", {}, element("tbody", {}, ...rows));
}

function operation(spec, path, method, described) {
  const body = described.requestBody?.content[JSON_MEDIA].schema;
  const inside = element("div", {},
    described.parameters?.length ? element("h3", {}, "Parameters") : null,
    described.parameters?.length ? parameters(spec, described.parameters) : null,
    body ? element("h3", {}, "Body: ", linkedKind(spec, body)) : null,
    body ? fields(spec, body) : null,
    element("h3", {}, "Answers"),
    answers(spec, described.responses));
  const title = element("summary", {},
    element("span", { className: "method" }, method.toUpperCase()), element("code", {}, path),
    element("span", { className: "dim" }, ` ${described.summary}`));
  const details = element("details", { id: described.operationId }, title, inside);
  details.dataset.words = `${method} ${path} ${described.summary}`.toLowerCase();
  details.addEventListener("toggle", () => inside.querySelector("form") ?? inside.append(new TryIt(spec, path, method, described).node));
  return details;
}

function schema(spec, name, described) {
  const text = element("pre", { tabIndex: 0 }, JSON.stringify(described, null, 2));
  const details = element("details", { id: `schema-${name}` },
    element("summary", {}, element("code", {}, name), element("span", { className: "dim" }, " "), prose(described.description)),
    element("div", {}, fields(spec, described), element("h3", {}, "As JSON Schema"), text));
  details.dataset.words = name.toLowerCase();
  return details;
}

function grouped(spec) {
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((one) => item[one])) {
      const group = item[method].tags[0];
      groups.set(group, [...(groups.get(group) ?? []), operation(spec, path, method, item[method])]);
    }
  }
  const place = (group) => (FIRST.indexOf(group) + 1 || FIRST.length + 1);
  const ordered = new Map([...groups].sort(([one], [other]) => place(one) - place(other)));
  ordered.set("schemas", Object.entries(spec.components.schemas).map(([name, one]) => schema(spec, name, one)));
  return ordered;
}

function render(spec) {
  document.querySelector("#version").textContent = spec.info.version;
  document.querySelector("#about").replaceChildren(
    prose(spec.info.description), " ", element("a", { href: "openapi.json" }, "openapi.json"));
  for (const [group, entries] of grouped(spec)) {
    const heading = element("h2", { id: `group-${group}` }, group);
    document.querySelector("#routes").append(element("section", {}, heading, ...entries));
    document.querySelector("#contents").append(element("a", { href: `#group-${group}` }, `${group} (${entries.length})`));
  }
}

const filter = document.querySelector("#filter");

/** Shows only what the user looks for. */
function applyFilter() {
  const wanted = filter.value.trim().toLowerCase();
  for (const entry of document.querySelectorAll("details")) entry.hidden = !entry.dataset.words.includes(wanted);
  for (const section of document.querySelectorAll("section")) section.hidden = !section.querySelector("details:not([hidden])");
}

/** Opens what the address points at, also if it was filtered out. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.closest("[hidden]")) {
    filter.value = "";
    applyFilter();
  }
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}

filter.addEventListener("input", applyFilter);
addEventListener("hashchange", openTarget);
document.querySelector("#forget-token").addEventListener("click", forgetToken);

try {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  render(await response.json());
  applyFilter();
  openTarget();
} catch (error) {
  document.querySelector("#about").textContent = `The description can't be read: ${error.message}`;
}
