// Which settings one press of Ask runs: this one, or this one against another.

import { el, find } from "./dom.js";
import { MAIN, mainKnobs } from "./knobs.js";

// Within the paper's range, 1 to 2.5.
const PAPER_GAMMA = 1.8;
const CHOICES = ["none", "full", "gamma", "own"];

/** Offers the comparison; `first` are the knobs of setting A. */
export function offerComparison(schema, first, changed) {
  const place = find("other");
  const own = mainKnobs(place, schema, "b", changed);
  const defaults = Object.fromEntries(MAIN.map((name) => [name, schema.properties[name].default]));
  let mode = "none";

  const choose = (value) => {
    mode = value;
    place.hidden = mode !== "own";
    for (const input of find("compare").querySelectorAll("input")) input.checked = input.value === mode;
    changed();
  };
  find("compare").append(...CHOICES.map((value) => el("label", { class: "chip" }, el("input", { type: "radio", name: "compare", value, checked: value === mode, on: { change: () => choose(value) } }), el("span", { "data-choice": value }))));

  /** Says on each choice what A as it is now would be compared with. */
  function show() {
    const a = first.values();
    const words = { none: "Nothing", full: a.policy === "full" ? "Defaults" : "Full cache", gamma: `Gamma ${gammaBeside(a)}`, own: "My own…" };
    for (const [value, text] of Object.entries(words)) find("compare").querySelector(`[data-choice=${value}]`).textContent = text;
  }

  const gammaBeside = (a) => (a.gamma === 1 ? PAPER_GAMMA : 1);

  function other(a) {
    if (mode === "own") return own.values();
    if (mode === "gamma") return { ...a, gamma: gammaBeside(a) };
    return a.policy === "full" ? { ...defaults } : { ...a, policy: "full", budget: 1 };
  }

  show();
  return {
    show,
    /** One or two {letter, main}; A is the left side's knobs. */
    settings: () => {
      const a = first.values();
      return mode === "none" ? [{ letter: "a", main: a }] : [{ letter: "a", main: a }, { letter: "b", main: other(a) }];
    },
    state: () => (mode === "own" ? { mode, own: own.values() } : { mode }),
    set: ({ mode: to = "none", own: values = {} } = {}) => { own.set(values); choose(CHOICES.includes(to) ? to : "none"); },
  };
}

export function summaryOf({ policy, budget, gamma, alpha }) {
  return policy === "full" ? "full cache" : `${policy} · budget ${budget} · gamma ${gamma} · alpha ${alpha}`;
}

/** Says at a glance whether two answers agree, and what the cheaper one saved. */
export function showVerdict(answers) {
  const place = find("verdict");
  place.hidden = answers.length < 2;
  if (place.hidden) return;
  const [a, b] = answers;
  const same = a.answer.trim().toLowerCase() === b.answer.trim().toLowerCase();
  place.className = `verdict ${same ? "same" : "differ"}`;
  const ratio = (one) => one.usage.kv_bytes / (one.usage.kv_bytes_full || 1);
  const times = b.usage.kv_bytes / (a.usage.kv_bytes || 1);
  const cost = Math.abs(times - 1) < 0.02 ? "Both hold equally much." : `Of the full cache, text included, A holds ${(100 * ratio(a)).toFixed(0)} % and B ${(100 * ratio(b)).toFixed(0)} %.`;
  place.replaceChildren(el("strong", {}, same ? "Same answer" : "Different answers"), el("span", {}, cost));
}
