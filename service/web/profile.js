// One small chart per setting: each picture's share of attention, before and after the subsidy.

import { el, percent } from "./dom.js";

/** {node, draw}; `view` is an explanation, `groupOf()` the layer group that is shown. */
export function profileOf(view, two, groupOf) {
  const chart = el("div", { class: "chart" });
  const letter = two && el("span", { class: "letter" }, view.letter.toUpperCase());
  const node = el("figure", { class: `profile view ${view.letter}` },
    el("figcaption", {}, letter, el("b", {}, "Share of attention by picture"), el("span", { class: "legend before" }, "before"), el("span", { class: "legend after" }, "after the subsidy")), chart);

  function draw() {
    const parts = view.images.map((image) => image.groups[groupOf()]);
    const most = Math.max(1e-9, ...parts.flatMap(({ before, after }) => [before ?? 0, after ?? 0]));
    const bar = (name, share) => el("i", { class: name, vars: { "--at": `${(100 * (share ?? 0)) / most}%` } });
    chart.replaceChildren(...parts.map(({ before, after }, at) => el("div", { title: `Picture ${at + 1}: ${percent(before ?? 0)} before, ${percent(after ?? 0)} after` }, bar("before", before), bar("after", after), el("span", {}, at + 1))));
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", parts.map(({ before, after }, at) => `Picture ${at + 1}: ${percent(before ?? 0)} before, ${percent(after ?? 0)} after`).join("; "));
  }
  return { node, draw };
}
