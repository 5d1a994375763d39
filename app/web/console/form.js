/** A form out of a JSON schema: flat objects of texts, numbers, choices and yes-or-no; anything else as JSON. */

import { h } from "./dom.js";

let counter = 0;

export class Form {
  /** Without a schema there is nothing to fill in. A schema that is no object asks for one value. */
  constructor(schema) {
    this.single = Boolean(schema) && !schema.properties && schema.type && schema.type !== "object";
    const properties = this.single ? { value: schema } : (schema?.properties ?? {});
    const required = new Set(this.single ? ["value"] : (schema?.required ?? []));
    this.fields = Object.entries(properties).map(([name, part]) => new Field(name, part ?? {}, required.has(name)));
    this.node = h("div", { class: "fields" }, this.fields.map((field) => field.node));
  }

  /** Is everything filled in as it should be? If not, the first wrong field says so and has the focus. */
  check() {
    const wrong = this.fields.filter((field) => !field.check());
    wrong[0]?.input.focus();
    return wrong.length === 0;
  }

  value() {
    const filled = this.fields.filter((field) => field.value() !== undefined);
    return Object.fromEntries(filled.map((field) => [field.name, field.value()]));
  }
}

class Field {
  constructor(name, schema, required) {
    this.name = name;
    this.schema = schema;
    this.required = required;
    this.kind = kindOf(schema);
    const id = `field-${counter++}`;
    this.input = this.control(id);
    this.problem = h("span", { class: "problem", id: `${id}-problem` });
    this.input.setAttribute("aria-describedby", `${id}-problem`);
    const label = h("label", { for: id }, schema.title ?? name, required ? "" : h("small", {}, " optional"));
    const hint = schema.description ? h("small", { class: "hint" }, schema.description) : null;
    const order = this.kind === "boolean" ? [this.input, label, hint] : [label, hint, this.input];
    this.node = h("div", { class: `field ${this.kind}` }, order, this.problem);
  }

  control(id) {
    const { schema } = this;
    const preset = schema.default;
    if (this.kind === "boolean") return h("input", { type: "checkbox", id, checked: preset === true });
    if (this.kind === "choice" || this.kind === "choices") {
      const values = schema.enum ?? schema.items?.enum ?? [];
      const names = schema.enumNames ?? values;
      const options = values.map((value, i) => h("option", { value: String(i), selected: value === preset }, String(names[i])));
      if (this.kind === "choices") return h("select", { id, multiple: true, size: Math.min(6, values.length) }, options);
      return h("select", { id }, this.required ? null : h("option", { value: "" }, "—"), options);
    }
    if (this.kind === "json") return h("textarea", { id, rows: 4, spellcheck: "false", value: preset === undefined ? "" : JSON.stringify(preset) });
    if (this.kind === "number") {
      return h("input", { type: "number", id, step: schema.type === "integer" ? 1 : "any", min: schema.minimum, max: schema.maximum, value: preset ?? "" });
    }
    if ((schema.maxLength ?? 0) > 200) return h("textarea", { id, rows: 3, value: preset ?? "" });
    const type = { email: "email", uri: "url", date: "date", password: "password" }[schema.format] ?? "text";
    return h("input", { type, id, minlength: schema.minLength, maxlength: schema.maxLength, pattern: schema.pattern, value: preset ?? "" });
  }

  check() {
    const empty = this.value() === undefined;
    let problem = "";
    if (this.required && empty) problem = "Needed";
    else if (!empty && this.value() instanceof SyntaxError) problem = "This is not JSON";
    else if (!this.input.checkValidity()) problem = this.input.validationMessage;
    this.problem.textContent = problem;
    this.input.setAttribute("aria-invalid", String(Boolean(problem)));
    return !problem;
  }

  /** undefined for what was left empty. */
  value() {
    const { input, schema } = this;
    if (this.kind === "boolean") return input.checked;
    if (this.kind === "choices") {
      const chosen = [...input.selectedOptions].map((option) => schema.items.enum[Number(option.value)]);
      return chosen.length || this.required ? chosen : undefined;
    }
    if (input.value === "") return undefined;
    if (this.kind === "choice") return schema.enum[Number(input.value)];
    if (this.kind === "number") return Number(input.value);
    if (this.kind === "json") return json(input.value);
    return input.value;
  }
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    return error;
  }
}

function kindOf(schema) {
  if (Array.isArray(schema.enum)) return "choice";
  if (schema.type === "array" && Array.isArray(schema.items?.enum)) return "choices";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "number" || schema.type === "integer") return "number";
  if (schema.type === "object" || schema.type === "array") return "json";
  return "text";
}
