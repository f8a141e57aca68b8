// Draws the knobs from the service's own OpenAPI schemas: names, bounds, defaults and help are its.

import { el } from "./dom.js";

const STEPS = { budget: 0.01, gamma: 0.1, alpha: 0.05 };
export const MAIN = ["policy", "budget", "gamma", "alpha"];
// `preset` would be overruled by the knobs above, which the page always sends.
const HIDDEN = new Set(["preset", "question", "images", "pruning", "generation", "stream", "explain", "webhook_url"]);

/** The policy and the three sliders of one setting. `letter` keeps ids of two sets apart. */
export function mainKnobs(place, schema, letter, changed) {
  const fields = Object.fromEntries(MAIN.map((name) => [name, { ...schema.properties[name], step: STEPS[name] }]));
  const state = Object.fromEntries(MAIN.map((name) => [name, fields[name].default]));
  const shown = {};
  for (const name of MAIN) {
    const id = `${name}-${letter}`;
    shown[name] = fields[name].enum ? choice(id, fields[name]) : slider(id, name, fields[name]);
    place.append(el("div", { class: "knob", "data-knob": name }, el("label", { for: id }, name), ...shown[name].nodes, el("p", { class: "help", id: `${id}-help` }, marked(fields[name].description))));
  }

  function choice(id, field) {
    const select = el("select", { id, "aria-describedby": `${id}-help`, on: { change: () => take("policy", select.value) } }, field.enum.map((value) => el("option", { value }, value)));
    return { nodes: [select], show: (value) => { select.value = value; } };
  }

  function slider(id, name, field) {
    const min = field.exclusiveMinimum === undefined ? field.minimum : field.step;
    const attributes = { min, max: field.maximum, step: field.step, "aria-describedby": `${id}-help` };
    const range = el("input", { type: "range", id, ...attributes, on: { input: () => take(name, Number(range.value)) } });
    // A word that may stand in place of the number, such as `auto`.
    const word = field.anyOf?.map((one) => one.enum?.[0]).find(Boolean);
    const box = word && el("input", { type: "checkbox", id: `${id}-${word}`, on: { change: () => take(name, box.checked ? word : Number(range.value)) } });
    const number = el("input", { type: "number", ...attributes, step: "any", "aria-label": `${name}, exact`, id: `${id}-exact`, on: { change: () => take(name, Number(number.value)) } });
    const show = (value) => {
      if (box) box.checked = value === word;
      number.disabled = range.disabled = Boolean(word) && value === word;
      if (number.disabled) { number.value = ""; number.setAttribute("aria-invalid", "false"); return; }
      range.value = value;
      number.value = value;
      range.style.setProperty("--at", `${(100 * (value - min)) / (field.maximum - min)}%`);
      number.setAttribute("aria-invalid", String(!(value >= min * 1e-6 && value <= field.maximum)));
    };
    const beside = word ? el("span", { class: "exact" }, el("label", { for: box.id }, box, word), number) : number;
    return { nodes: [beside, range], show };
  }

  function take(name, value) {
    state[name] = value;
    shown[name].show(value);
    for (const other of MAIN.slice(1)) place.querySelector(`[data-knob="${other}"]`).classList.toggle("off", state.policy === "full");
    changed();
  }

  const set = (values) => MAIN.forEach((name) => name in values && take(name, values[name]));
  set(state);
  return { set, values: () => ({ ...state }), isDefault: () => MAIN.every((name) => state[name] === fields[name].default) };
}

/** Every other field of an ask, folded away; only what was changed is sent. */
export function restKnobs(place, schemas, changed) {
  const kept = { top: {}, pruning: {}, generation: {} };
  const fields = [];
  const groups = [["top", schemas.AskBody], ["pruning", schemas.Pruning], ["generation", schemas.Generation]];
  for (const [group, schema] of groups) {
    for (const [name, raw] of Object.entries(schema?.properties || {})) {
      if (HIDDEN.has(name) || MAIN.includes(name)) continue;
      fields.push(field(group, name, plain(raw)));
    }
  }
  place.append(...fields.map((one) => one.node));

  function field(group, name, schema) {
    const id = `rest-${group}-${name}`;
    const fill = (value) => {
      if (value === undefined) delete kept[group][name];
      else kept[group][name] = value;
      node.classList.toggle("changed", value !== undefined);
      changed();
    };
    const input = control(id, schema, fill);
    const node = el("div", { class: "field" }, el("label", { for: id }, name), input.node, el("p", { class: "help" }, marked(schema.description)));
    return { group, name, node, set: (value) => { input.show(value); fill(value); } };
  }

  return {
    values: () => structuredClone(kept),
    count: () => Object.values(kept).reduce((sum, group) => sum + Object.keys(group).length, 0),
    set: (values) => fields.forEach((one) => one.set(values[one.group]?.[one.name])),
  };
}

/** A text with its `names` set as code. */
function marked(text = "") {
  return text.split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));
}

/** A schema that may be null, without its null. */
function plain(schema) {
  const some = schema.anyOf?.find((one) => one.type !== "null");
  return some ? { ...some, ...schema, optional: true } : schema;
}

function control(id, schema, fill) {
  if (schema.enum) {
    const first = schema.default;
    const node = el("select", { id, on: { change: () => fill(node.value === first ? undefined : node.value) } }, schema.enum.map((value) => el("option", { value }, value)));
    node.value = first;
    return { node, show: (value) => { node.value = value ?? first; } };
  }
  if (schema.type === "array") {
    const split = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);
    const node = el("input", { id, placeholder: "none; commas between", on: { input: () => fill(split(node.value).length ? split(node.value) : undefined) } });
    return { node, show: (value) => { node.value = (value || []).join(", "); } };
  }
  const isNumber = schema.type === "number" || schema.type === "integer";
  if (schema.type === "boolean") {
    const node = el("input", { id, type: "checkbox", on: { change: () => fill(node.checked === schema.default ? undefined : node.checked) } });
    node.checked = Boolean(schema.default);
    return { node, show: (value) => { node.checked = Boolean(value ?? schema.default); } };
  }
  const attributes = isNumber ? { type: "number", min: schema.minimum, max: schema.maximum, step: schema.type === "integer" ? 1 : "any" } : { type: "text" };
  const node = el("input", { id, ...attributes, placeholder: schema.default ?? "not set", on: { input: () => fill(read(node.value)) } });
  const read = (text) => (text === "" ? undefined : isNumber ? Number(text) : text);
  return { node, show: (value) => { node.value = value ?? ""; } };
}
