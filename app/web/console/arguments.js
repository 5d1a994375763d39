/** A call's arguments, to be changed: a field for each as its schema has it, or all of them as JSON. */

import { button, h } from "./dom.js";
import { revealed } from "./words.js";

let counter = 0;

export class ArgumentsEditor {
  /** `given` are the call's arguments, `schema` that of its tool, if it is known. */
  constructor(given, schema) {
    this.given = given;
    this.schema = schema ?? {};
    this.node = h("div", { class: "arguments" });
    this.asFields(given);
  }

  asFields(given) {
    const known = this.schema.properties ?? {};
    const required = new Set(this.schema.required ?? []);
    const names = [...new Set([...Object.keys(known), ...Object.keys(given)])];
    this.text = null;
    this.fields = names.map((name) => new Argument(name, known[name] ?? {}, given, required.has(name)));
    this.node.replaceChildren(
      h("div", { class: "fields" }, this.fields.map((field) => field.node)),
      button("Edit as JSON", () => this.switchTo("json"), { kind: "plain" }));
  }

  asJson(given) {
    const id = `arguments-${counter++}`;
    this.fields = null;
    this.text = h("textarea", { id, rows: 10, spellcheck: "false", "aria-describedby": `${id}-problem`, value: JSON.stringify(given, null, 2) });
    this.problem = h("span", { class: "problem", id: `${id}-problem` });
    this.node.replaceChildren(
      h("div", { class: "field" }, h("label", { for: id }, "Arguments, as a JSON object"), this.text, this.problem),
      button("Edit as fields", () => this.switchTo("fields"), { kind: "plain" }));
  }

  /** With what was written so far; stays where it is until that can be read. */
  switchTo(how) {
    if (!this.check()) return;
    if (how === "json") this.asJson(this.value());
    else this.asFields(this.value());
    this.focus();
  }

  focus() {
    this.node.querySelector("textarea, input, select")?.focus();
  }

  /** Can all of it be sent? If not, the first wrong field says why and has the focus. */
  check() {
    if (this.text) {
      const value = json(this.text.value);
      const wrong = value instanceof SyntaxError ? "This is not JSON" : value === null || typeof value !== "object" || Array.isArray(value) ? "This is not an object" : "";
      this.problem.textContent = wrong;
      this.text.setAttribute("aria-invalid", String(Boolean(wrong)));
      if (wrong) this.text.focus();
      return !wrong;
    }
    const wrong = this.fields.filter((field) => !field.check());
    wrong[0]?.input.focus();
    return wrong.length === 0;
  }

  value() {
    if (this.text) return json(this.text.value);
    return Object.fromEntries(this.fields.map((field) => [field.name, field.value()]).filter(([, value]) => value !== undefined));
  }
}

class Argument {
  constructor(name, schema, given, required) {
    this.name = name;
    this.schema = schema;
    this.required = required;
    this.own = given[name];
    this.wasThere = name in given;
    this.kind = kindOf(schema, this.own);
    const id = `argument-${counter++}`;
    this.input = this.control(id);
    this.before = this.input.value;
    this.problem = h("span", { class: "problem", id: `${id}-problem` });
    this.input.setAttribute("aria-describedby", `${id}-problem`);
    const label = h("label", { for: id }, name, required ? "" : h("small", {}, " optional"));
    const unseen = revealed(this.before) === this.before ? "" : "It holds characters that can’t be seen; they are written out where the call is shown.";
    const about = [schema.description, unseen].filter(Boolean).join(" ");
    const hint = about ? h("small", { class: "hint" }, about) : null;
    const order = this.kind === "boolean" ? [this.input, label, hint] : [label, hint, this.input];
    this.node = h("div", { class: `field ${this.kind}` }, order, this.problem);
  }

  control(id) {
    const { own } = this;
    if (this.kind === "boolean") return h("input", { type: "checkbox", id, checked: own === true });
    if (this.kind === "choice") {
      const options = this.schema.enum.map((value, i) => h("option", { value: String(i), selected: value === own }, String(value)));
      return h("select", { id }, this.required && this.wasThere ? null : h("option", { value: "" }, "—"), options);
    }
    if (this.kind === "number") return h("input", { type: "number", id, step: this.schema.type === "integer" ? 1 : "any", value: own ?? "" });
    const text = this.kind === "text" ? (own ?? "") : own === undefined ? "" : JSON.stringify(own, null, 2);
    return h("textarea", { id, rows: Math.min(10, text.split("\n").length), spellcheck: "false", value: text });
  }

  check() {
    const value = this.value();
    let problem = "";
    if (value === undefined && this.required) problem = "Needed";
    else if (value instanceof SyntaxError) problem = "This is not JSON";
    else if (!this.input.checkValidity()) problem = this.input.validationMessage;
    this.problem.textContent = problem;
    this.input.setAttribute("aria-invalid", String(Boolean(problem)));
    return !problem;
  }

  /** undefined for one that is left out. What nobody has touched is what it was, to the letter. */
  value() {
    const { input, own } = this;
    if (this.kind === "boolean") return this.wasThere || this.required || input.checked ? input.checked : undefined;
    if (input.value === this.before && this.wasThere) return own;
    if (this.kind === "choice") return input.value === "" ? undefined : this.schema.enum[Number(input.value)];
    if (this.kind === "text") {
      if (input.value === "" && !this.wasThere && !this.required) return undefined;
      return typeof own === "string" && own.includes("\r\n") ? input.value.replaceAll("\n", "\r\n") : input.value;
    }
    if (input.value.trim() === "") return undefined;
    return this.kind === "number" ? Number(input.value) : json(input.value);
  }
}

function kindOf(schema, own) {
  const types = [schema.type ?? []].flat().filter((type) => type !== "null");
  if (Array.isArray(schema.enum) && (own === undefined || schema.enum.includes(own))) return "choice";
  if (own !== undefined && own !== null && !fits(own, types)) return "json";
  if (types.length !== 1) return typeof own === "string" && !types.length ? "text" : "json";
  return { string: "text", boolean: "boolean", number: "number", integer: "number" }[types[0]] ?? "json";
}

/** A value of another type than is due is shown as what it is. */
function fits(own, types) {
  const type = Array.isArray(own) ? "array" : typeof own;
  return !types.length || types.includes(type) || (type === "number" && types.includes("integer"));
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    return error;
  }
}
