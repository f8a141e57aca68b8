// "What was kept": every picture as the model was left to see it, by layer group, for one or two runs.

import { el, find, percent, plural } from "./dom.js";
import { paint } from "./overlay.js";
import { profileOf } from "./profile.js";

const MODES = [["seen", "As seen"], ["heat", "Kept how often"], ["picture", "Picture"]];
const state = { mode: "seen", group: 0 };
let repaint = () => {};

export function hideKept() {
  find("kept").hidden = true;
  repaint = () => {};
}

/**
 * `runs`: [{letter, explain}] of one or two finished asks about the same `pictures` ({name, bitmap}).
 * `explain.groups` are layer groups, the first is all; `images[i].groups[g]` has kept, grid and shares.
 */
export function showKept(runs, pictures) {
  const place = find("kept");
  const views = runs.map(({ letter, explain }) => ({ letter, ...explain }));
  const groups = views[0].groups;
  state.group = Math.min(state.group, groups.length - 1);
  const plates = pictures.map((picture, at) => plateOf(picture, at, views));
  const layers = layerSlider(groups, () => repaint());
  const profiles = pictures.length > 1 ? views.filter(sawAttention).map((view) => profileOf(view, views.length > 1, () => state.group)) : [];
  repaint = () => [...profiles, ...plates].forEach((part) => part.draw());
  place.replaceChildren(
    el("div", {}, el("h2", { id: "kept-title" }, "What was kept"),
      el("p", { class: "lead" }, "Sharp patches stayed in the model's memory, blurred ones were pruned.")),
    el("div", { class: "tools" }, modeChips(() => repaint()), layers),
    profiles.length ? el("div", { class: "profiles" }, profiles.map((profile) => profile.node)) : "",
    el("div", { class: `plates${views.length > 1 ? " two" : ""}` }, plates.map((plate) => plate.node)));
  place.hidden = false;
  repaint();
}

const sawAttention = (view) => view.images.some((image) => image.groups[0].before !== null);

/** Paints again, for another colour scheme. */
export const paintAgain = () => repaint();

function modeChips(changed) {
  const chips = MODES.map(([mode, words]) => el("label", { class: "chip" }, el("input", { type: "radio", name: "view", value: mode, checked: mode === state.mode, on: { change: () => { state.mode = mode; changed(); } } }), el("span", {}, words)));
  return el("div", { class: "chips", role: "radiogroup", "aria-label": "How pictures are shown" }, chips);
}

function layerSlider(groups, changed) {
  const told = el("output", { for: "layer-group" }, groups[state.group].label);
  const take = () => {
    state.group = Number(range.value);
    show();
    changed();
  };
  const range = el("input", { type: "range", id: "layer-group", min: 0, max: groups.length - 1, step: 1, value: state.group, on: { input: take } });
  const show = () => {
    told.textContent = groups[state.group].label;
    range.setAttribute("aria-valuetext", groups[state.group].label);
    range.style.setProperty("--at", `${(100 * state.group) / Math.max(1, groups.length - 1)}%`);
  };
  show();
  return el("div", { class: "layers", hidden: groups.length < 3 }, el("label", { for: "layer-group" }, "Layers"), range, told);
}

function plateOf(picture, at, views) {
  const most = () => Math.max(...views.flatMap((view) => view.images.flatMap((image) => [image.groups[state.group]?.before ?? 0, image.groups[state.group]?.after ?? 0])), 1e-9);
  const parts = views.map((view) => viewOf(picture, at, view, views.length > 1, most));
  const node = el("figure", { class: "plate" }, el("figcaption", {}, el("b", {}, `Picture ${at + 1}`), el("span", {}, picture.name)), el("div", { class: "pair" }, parts.map((part) => part.node)));
  return { node, draw: () => parts.forEach((part) => part.draw()) };
}

function viewOf(picture, at, view, two, most) {
  const image = view.images[at];
  const canvas = el("canvas", { role: "img" });
  const count = el("p", { class: "count" });
  const shares = el("div", { class: "shares" });
  const node = el("div", { class: `view ${view.letter}` }, canvas, count, shares);

  function draw() {
    const group = image.groups[state.group] || image.groups[0];
    paint(canvas, picture.bitmap, group.grid, state.mode);
    const kept = `${Math.round(group.kept)} of ${plural(image.tokens, "token")}`;
    canvas.setAttribute("aria-label", `Picture ${at + 1}${two ? `, setting ${view.letter.toUpperCase()}` : ""}: ${kept} kept`);
    const bins = group.bins.length ? ` + ${plural(group.bins.length, "bin")}` : "";
    count.replaceChildren(two ? `${view.letter.toUpperCase()} · ` : "", el("b", {}, kept), bins);
    if (group.bins.length) count.title = `Bins hold ${group.bins.join(", ")} merged tokens`;
    shares.replaceChildren(...bar("before", group.before, most()), ...bar("after", group.after, most()));
  }
  return { node, draw };
}

function bar(name, share, most) {
  if (share === null) return [];
  return [el("span", {}, name), el("i", { class: name, vars: { "--at": `${(100 * share) / most}%` } }), el("b", {}, percent(share))];
}
