// One answer on its card: the words as they come, then what they cost. Knows no network.

import { bytes, duration, el, percent, plural } from "./dom.js";
import { inWords } from "./troubles.js";

const CACHE_WORDS = { hit: ["Hit", "answered before"], joined: ["Joined", "the same ask in flight"], miss: ["Miss", "computed now"], off: ["Off", "computed now"] };

/** A card for setting `letter` ("a" or "b"), shown where there are two; `failed` hears of a failure. */
export function cardOf(letter, summary, two, failed) {
  const phase = el("span", { class: "phase" }, "Sending");
  const text = el("p", { class: "words live", "aria-live": "polite" });
  const below = el("div", { class: "wait" }, el("div", { class: "track" }, el("i")));
  const node = el("article", { class: `card ${letter}`, "aria-label": two ? `Answer ${letter.toUpperCase()}` : "Answer" },
    el("header", {}, two && el("span", { class: "letter" }, letter.toUpperCase()), el("span", {}, summary), phase), text, below);
  let answer = "", stage = "Sending";
  const since = performance.now();
  const clock = setInterval(() => { phase.textContent = `${stage} · ${Math.round((performance.now() - since) / 1000)} s`; }, 1000);

  const write = (whole) => {
    answer = whole;
    text.textContent = whole;
    text.classList.toggle("long", whole.length > 90);
  };

  function hear(event, run) {
    if (event.kind !== "accepted" && event.kind !== "waiting") clearInterval(clock);
    if (event.kind === "accepted") phase.textContent = stage = "Waiting for the first word";
    else if (event.kind === "waiting") wait(event);
    else if (event.kind === "token") {
      if (!answer) { phase.textContent = `Answering · first token ${duration(run.firstAt - run.sentAt)}`; below.replaceChildren(); }
      write(answer + event.text);
    } else if (event.kind === "done") finish(event.answer, run);
    else if (event.kind === "failed") fail(event);
  }

  function wait({ status, position, expected_wait_seconds: seconds }) {
    const queued = status === "queued";
    phase.textContent = stage = queued ? "In line" : "Reading the pictures";
    const place = el("strong", {}, position <= 1 ? "Next in line" : `Number ${position} in line`);
    const start = seconds === null ? "no worker takes asks now" : seconds < 1 ? "starts in a moment" : `expected to start in about ${Math.ceil(seconds)} s`;
    below.replaceChildren(el("div", { class: "track" }, el("i")), queued ? el("p", { role: "status" }, place, " · ", start) : "");
  }

  function finish(done, run) {
    write(done.answer);
    text.classList.remove("live");
    phase.textContent = { stop: "Complete", length: "Stopped at max_tokens", cancelled: "Cancelled" }[done.finish_reason] || done.finish_reason;
    below.replaceWith(memory(done.usage), chosen(done.budget_choice), figures(done, run), warnings(done.warnings || []));
  }

  function fail({ problem, retryAfter }) {
    text.classList.remove("live");
    text.hidden = !answer;
    phase.textContent = problem.code === "cancelled" ? "Cancelled" : "Failed";
    const told = inWords(problem, retryAfter);
    below.className = problem.code === "cancelled" ? "wait" : "trouble";
    if (problem.code !== "cancelled") below.setAttribute("role", "alert");
    below.replaceChildren(el("strong", {}, told.title), told.detail && el("p", {}, told.detail), el("p", {}, told.advice), ...(told.askId ? [el("code", {}, told.askId)] : []));
    failed(told);
  }

  return { node, hear };
}

function memory(usage) {
  const share = usage.kv_bytes_full ? usage.kv_bytes / usage.kv_bytes_full : 0;
  return el("div", { class: "memory" },
    el("p", {}, el("span", {}, "KV kept ", el("b", {}, bytes(usage.kv_bytes)), ` of ${bytes(usage.kv_bytes_full)}`), el("b", {}, percent(share))),
    el("div", { class: "gauge", vars: { "--at": percent(share).replace(" ", "") }, role: "img", "aria-label": `${percent(share)} of the full cache` }, el("i")));
}

/** Which budget `auto` took, and why. */
const chosen = (choice) => (choice ? el("p", { class: "aside", "data-figure": "Budget" }, `Budget ${choice.budget}: ${choice.why}`) : "");

function figures({ usage, timings, cache }, run) {
  const rate = usage.completion_tokens > 1 && timings.decode_ms > 0 ? ((usage.completion_tokens - 1) / timings.decode_ms) * 1000 : null;
  const hit = cache.result === "hit";
  const rows = [
    ["First token", duration(hit ? run.firstAt - run.sentAt : timings.first_token_ms), hit ? "from the cache" : ""],
    ["Speed", rate ? `${rate.toFixed(rate < 20 ? 1 : 0)}` : "–", rate ? "tokens/s" : hit ? "not decoded" : "one token"],
    ["Picture tokens", `${Math.round(usage.kept_tokens)}`, `of ${usage.image_tokens}${usage.bin_tokens ? ` + ${Math.round(usage.bin_tokens)} bins` : ""}`],
    ["Cache", ...cacheWords(cache)],
    ["Total", duration(hit ? performance.now() - run.sentAt : timings.total_ms), ""],
  ];
  return el("dl", { class: "figures" }, rows.map(([name, value, unit]) => el("div", { "data-figure": name }, el("dt", {}, name), el("dd", {}, value, " ", el("small", {}, unit)))));
}

function cacheWords({ result, prefill, features }) {
  const [short, long] = CACHE_WORDS[result] || [result, ""];
  if (result === "hit") return [short, long];
  if (prefill && prefill !== "none") return [short, `${prefill} prefill reused`];
  return [short, features ? `${plural(features, "picture")} seen before` : long];
}

const warnings = (told) => (told.length ? el("ul", { class: "warnings" }, told.map((one) => el("li", {}, one))) : "");
