// Fields of a request, made from their schemas.

import { h } from "../console/dom.js";

const SIMPLE = ["string", "integer", "number", "boolean"];

export function resolve(spec, node) {
  while (node?.$ref) node = node.$ref.slice(2).split("/").reduce((at, key) => at[key], spec);
  return node ?? {};
}

/** What a schema allows, without null and with references followed. */
function alternatives(spec, schema) {
  const whole = resolve(spec, schema);
  const all = whole.anyOf ?? whole.oneOf ?? [whole];
  return all.map((one) => resolve(spec, one)).filter((one) => one.type !== "null");
}

/** The smallest value that has a schema's shape, to begin with. */
export function sample(spec, schema) {
  const [one = {}] = alternatives(spec, schema);
  if (one.default !== undefined) return one.default;
  if (one.const !== undefined) return one.const;
  if (one.enum) return one.enum[0];
  if (one.type === "array") return one.minItems ? [sample(spec, one.items)] : [];
  if (one.type === "object" || one.properties) {
    return Object.fromEntries((one.required ?? []).map((name) => [name, sample(spec, one.properties[name])]));
  }
  return { string: "", integer: one.minimum ?? 0, number: one.minimum ?? 0, boolean: false }[one.type] ?? null;
}

/** Raised by `Field.value`; the field shows it. */
export class Unusable extends Error {}

let made = 0;

/** One labelled input. `value()` is undefined while it is empty; Unusable if it can't be sent as it is. */
export class Field {
  constructor(spec, name, schema, { required = false, about = "", where = "", start } = {}) {
    const kinds = alternatives(spec, schema);
    this.kind = kinds.length === 1 && SIMPLE.includes(kinds[0].type) ? kinds[0].type : "json";
    this.alsoText = kinds.some((one) => one.type === "string");
    this.required = required;
    this.name = name;
    const id = `field-${(made += 1)}`;
    const props = { id, name, "aria-required": required && "true", autocomplete: "off", spellcheck: "false" };
    this.input = this.control(kinds, props);
    if (start !== undefined) this.input.value = start;
    this.problem = h("span", { class: "problem", role: "alert" });
    this.node = h("div", { class: "request-field" },
      h("label", { for: id }, h("code", {}, name), h("span", { class: "dim" }, `${required ? "" : " ?"} ${where}`)),
      this.input, this.problem, about ? h("span", { class: "dim" }, about) : null);
  }

  control(kinds, props) {
    const choices = this.kind === "boolean" ? [true, false] : kinds.length === 1 ? kinds[0].enum ?? [kinds[0].const] : [];
    const listed = choices.filter((one) => one !== undefined);
    if (listed.length) return h("select", props, ["", ...listed].map((one) => h("option", { value: String(one) }, String(one))));
    if (this.kind === "json") return h("textarea", { ...props, rows: 4, placeholder: this.alsoText ? "text, or JSON" : "JSON" });
    return h("input", { ...props, type: "text", inputmode: this.kind === "string" ? null : "decimal" });
  }

  value() {
    this.fail("");
    const text = this.input.value;
    if (!text && this.required && this.kind !== "string") return this.fail(`${this.name} is required.`);
    if (!text) return this.required ? "" : undefined;
    if (this.kind === "string") return text;
    try {
      return JSON.parse(text);
    } catch {
      return this.alsoText ? text : this.fail(`${this.name} is no JSON.`);
    }
  }

  /** Shows why the field can't be sent, and raises it; the empty text takes that away. */
  fail(text) {
    this.problem.textContent = text;
    this.input.toggleAttribute("aria-invalid", Boolean(text));
    if (!text) return;
    this.input.setAttribute("aria-invalid", "true");
    this.input.focus();
    throw new Unusable(text);
  }
}
