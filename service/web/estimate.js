// While one writes: what the ask will cost. Asks /v1/estimate, which touches no GPU.

import { call } from "./api.js";
import { bytes, el, find, plural, settled } from "./dom.js";

const PAUSE_MS = 350;

/**
 * `bodyOf()` gives the ask's body, or null while there is nothing to estimate. What comes back is
 * called at every change; its `drop()` gives up one on its way, for whoever writes into the line.
 */
export function keepEstimating(bodyOf) {
  const line = find("estimate");
  let leave = new AbortController();
  const later = settled(async () => {
    leave.abort();
    leave = new AbortController();
    const { signal } = leave;
    try {
      const body = await bodyOf();
      if (signal.aborted) return;
      if (!body) { show([]); return; }
      const told = await (await call("POST", "/v1/estimate", { json: body, signal })).json();
      if (!signal.aborted) show(wordsOf(told, body.pruning), told.fits === false);
    } catch (error) {
      if (error.name !== "AbortError" && !signal.aborted) show(quiet(error.code) ? [] : [error.message], true);
    }
  }, PAUSE_MS);
  return Object.assign((...args) => later(...args), { drop() { later.drop(); leave.abort(); } });

  function show(parts, over = false) {
    line.classList.toggle("over", over);
    line.replaceChildren(...parts.flatMap((part, at) => (at ? [" · ", part] : [part])));
  }
}

const quiet = (code) => ["unreachable", "unavailable", "unauthorized", "not_found", "http_404"].includes(code);

/** Numbers of an estimate in a line; KV at the budget that is set, against all of it. */
function wordsOf(told, { policy, budget }) {
  const tokens = told.image_tokens ?? (told.images || []).reduce((sum, { tokens: some }) => sum + some, 0);
  const parts = [el("b", {}, plural(tokens, "picture token"))];
  if (told.text_tokens) parts.push(`${told.text_tokens} text`);
  const full = bytesAt(told, 1);
  const kept = policy === "full" ? full : bytesAt(told, budget);
  if (full && budget === "auto") parts.push(el("span", {}, "KV at most ", el("b", {}, bytes(full))));
  else if (full) parts.push(el("span", {}, "KV ", el("b", {}, bytes(kept)), ` of ${bytes(full)}`));
  if (told.fits === false) parts.push(`more than the model can read${told.context_tokens ? ` (${told.context_tokens})` : ""}`);
  if (told.cached) parts.push("answered before");
  else if (told.expected_wait_seconds >= 1) parts.push(`starts in about ${Math.ceil(told.expected_wait_seconds)} s`);
  return parts;
}

/** Bytes at a budget: between two budgets that the service names, on the line through them. */
function bytesAt({ kv_bytes: named = {} }, budget) {
  const points = Object.entries(named).map(([at, size]) => [Number(at), size]).sort((a, b) => a[0] - b[0]);
  if (!points.length) return 0;
  const above = points.find(([at]) => at >= budget) || points.at(-1);
  const below = points.findLast(([at]) => at <= budget) || [0, 0];
  return above[0] === below[0] ? above[1] : below[1] + ((budget - below[0]) / (above[0] - below[0])) * (above[1] - below[1]);
}
