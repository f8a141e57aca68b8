// Puts the page together: what is on the left becomes asks, what comes back goes to the right.

import { call, offer, offers } from "./api.js";
import { cardOf } from "./card.js";
import { offerComparison, showVerdict, summaryOf } from "./compare.js";
import { find, say } from "./dom.js";
import { dressUp } from "./dress.js";
import { keepEstimating } from "./estimate.js";
import { offerExamples, takeIn } from "./intake.js";
import { hideKept, showKept } from "./kept.js";
import { bitmapsOf } from "./overlay.js";
import { mainKnobs, restKnobs } from "./knobs.js";
import { Pictures } from "./pictures.js";
import { Run } from "./run.js";
import { askIn, curlOf, fileOf, linkOf, pythonOf, showShare } from "./share.js";
import { showSheet } from "./sheet.js";
import { watchState } from "./status.js";

const pictures = new Pictures();
let knobs, rest, compare, estimate = Object.assign(() => {}, { drop() {} }), runs = [], turns = 0, model = "", blamed = "";

async function open() {
  dressUp(() => { pictures.retry(); changed(); });
  showSheet(pictures, takeIn(pictures));
  const { paths, schemas } = await (await fetch("/web/knobs.json")).json();
  offer(paths);
  pictures.canStore = offers("/v1/images");
  knobs = mainKnobs(find("knobs"), schemas.Pruning, "a", changed);
  rest = restKnobs(find("rest"), schemas, changed);
  compare = offerComparison(schemas.Pruning, knobs, changed);
  if (offers("/v1/estimate")) estimate = keepEstimating(bodyToEstimate);
  pictures.addEventListener("change", changed);
  find("question").addEventListener("input", () => { find("question").removeAttribute("aria-invalid"); changed(); });
  find("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  find("stop").addEventListener("click", () => { turns += 1; runs.forEach((run) => run.cancel()); busy(false); });
  find("share-open").addEventListener("click", share);
  find("reset").addEventListener("click", () => { rest.set({}); knobs.set(defaultsOf(schemas.Pruning)); });
  addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); } });
  addEventListener("hashchange", openLink);
  watchState(() => { pictures.retry(); changed(); });
  offerExamples(pictures, fill);
  openLink();
  sessionStorage.removeItem("myopia-loaded-twice");
  document.documentElement.dataset.open = String(Math.round(performance.now()));
}

const defaultsOf = (schema) => Object.fromEntries(Object.entries(schema.properties).map(([name, field]) => [name, field.default]));

function changed() {
  if (!compare) return;
  compare.show();
  find("reset").hidden = knobs.isDefault() && !rest.count();
  find("more-count").textContent = rest.count() ? `${rest.count()} changed` : "";
  if (blamed && lacking()?.[1] === blamed) return;
  blamed = "";
  estimate();
}

/** The body of one ask, but for its pictures. */
function bodyOf(main) {
  const { top, pruning, generation } = rest.values();
  if (main.budget !== "auto") delete pruning.target_agreement; // nothing else has a target
  const body = { question: find("question").value.trim(), pruning: { ...main, ...pruning }, ...top };
  if (Object.keys(generation).length) body.generation = generation;
  return body;
}

async function bodyToEstimate() {
  if (!pictures.list.length) return null;
  const body = bodyOf(knobs.values());
  const images = await pictures.items();
  return images.every((image) => image.id) && { ...body, question: body.question || "?", images, explain: true };
}

function fill({ question = "", options = [] }) {
  find("question").value = question;
  rest.set({ top: options.length ? { options } : {} });
  find("go").focus();
}

/** What an ask still lacks: where, and the words for it; null where nothing. */
function lacking() {
  if (!pictures.list.length) return [find("drop"), "Add at least one picture first"];
  const fault = pictures.list.findIndex((picture) => picture.fault);
  if (fault >= 0) return [find("sheet").children[fault].querySelector(".grip"), `Picture ${fault + 1} cannot be used: remove it first`];
  return find("question").value.trim() ? null : [find("question"), "Write a question first"];
}

/** Whether an ask can be sent; says why not, which stands until that is made good. */
function isReady() {
  const lack = lacking();
  if (lack) blame(...lack);
  return !lack;
}

function blame(node, words) {
  node.setAttribute("aria-invalid", "true");
  node.focus();
  estimate.drop();
  blamed = words;
  find("estimate").textContent = words;
  find("estimate").classList.add("over");
  node.addEventListener("blur", () => node.removeAttribute("aria-invalid"), { once: true });
}

async function ask() {
  if (!isReady()) return;
  runs.forEach((run) => run.cancel());
  const settings = compare.settings();
  const asked = [...pictures.list];
  const turn = (turns += 1);
  find("empty").hidden = true;
  find("verdict").hidden = true;
  hideKept();
  busy(true);
  const images = await pictures.items();
  if (turn !== turns) return;
  runs = settings.map(({ letter, main }) => {
    const card = cardOf(letter, summaryOf(main), settings.length > 1, (told) => pointAt(told, asked));
    const run = new Run({ ...bodyOf(main), explain: true }, images, (event) => { card.hear(event, run); if (run.ended) settle(); });
    return Object.assign(run, { letter, card });
  });
  const mine = runs;
  find("cards").replaceChildren(...mine.map((run) => run.card.node));
  if (matchMedia("(max-width: 860px)").matches) find("cards").scrollIntoView({ block: "start", behavior: "smooth" });
  await Promise.all(mine.map((run) => run.start()));

  async function settle() {
    if (mine !== runs || mine.some((run) => !run.ended)) return;
    busy(false);
    const done = mine.filter((run) => run.answer);
    if (!done.length) return;
    model = done[0].answer.model;
    say(done.map((run) => run.answer.answer).join("; "));
    showVerdict(done.map((run) => run.answer));
    const explained = done.filter((run) => run.answer.explain).map((run) => ({ letter: run.letter, explain: run.answer.explain }));
    if (!explained.length) return;
    const bitmaps = await bitmapsOf(asked);
    if (mine === runs) showKept(explained, bitmaps);
  }
}

function busy(on) {
  find("stop").hidden = !on;
  find("go").textContent = on ? "Ask anew" : "Ask";
}

/** Marks what a failure names: a picture of the sheet, or a knob. */
function pointAt({ field, imageIndex, detail }, asked) {
  if (asked[imageIndex]) pictures.refused(asked[imageIndex], detail);
  const name = field?.split("/").pop();
  const node = name && (find(`${name}-a`) || document.querySelector(`[id^="rest-"][id$="-${name}"]`) || (name === "question" && find("question")));
  if (node) { node.closest("details")?.setAttribute("open", ""); node.setAttribute("aria-invalid", "true"); }
}

async function share() {
  if (!isReady()) return;
  await pictures.stored();
  const body = bodyOf(knobs.values());
  const { list } = pictures;
  if (!model) model = await modelName();
  const forms = [
    { title: "curl", hint: "in any shell", text: curlOf(body, list) },
    { title: "Python", hint: "with the openai package, beside the pictures", text: pythonOf(body, list, model) },
  ];
  const link = await linkOf({ ...body, compare: compare.state() }, list);
  if (link) forms.unshift({ title: "Link", hint: list.some(({ id, example }) => id && !example) ? "works while the service keeps the pictures" : "everything is in it", text: link });
  showShare(forms);
}

/** What a client has to call the model; empty where nobody knows now. */
async function modelName() {
  try {
    const told = await (await call("GET", offers("/v1/models") ? "/v1/models" : "/readyz")).json();
    return told.model || told.data?.[0]?.id || "";
  } catch {
    return "";
  }
}

async function openLink() {
  const linked = askIn(location.hash);
  if (!linked) return;
  history.replaceState(null, "", "/");
  const { question, images, pruning = {}, generation = {}, compare: other, ...top } = linked;
  const lost = [];
  const files = await Promise.all(images.map((image, at) => fileOf(image).catch(() => { lost.push(at + 1); return null; })));
  pictures.clear();
  files.forEach((file, at) => file && pictures.add([file], { example: Boolean(images[at].example) }));
  find("question").value = question;
  knobs.set(pruning);
  rest.set({ top, pruning, generation });
  compare.set(other);
  if (lost.length) find("left-out").textContent = `The service no longer keeps picture ${lost.join(", ")} of this link. Add ${lost.length > 1 ? "them" : "it"} again.`;
}

open().catch(() => {
  find("notice").textContent = "The service stopped answering while this page was loading. Load it again in a moment.";
  find("notice").hidden = false;
});
