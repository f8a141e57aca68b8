// While one writes: what the ask will cost. Asks /v1/estimate, which touches no GPU.

import { call } from "./api.js";
import { bytes, el, find, plural, settled } from "./dom.js";

const PAUSE_MS = 350;

/** `bodyOf()` gives the ask's body, or null while there is nothing to estimate. */
export function keepEstimating(bodyOf) {
  const line = find("estimate");
  let leave = new AbortController();
  return settled(async () => {
    leave.abort();
    leave = new AbortController();
    const { signal } = leave;
    try {
      const body = await bodyOf();
      if (!body) { show([]); return; }
      const told = await (await call("POST", "/v1/estimate", { json: body, signal })).json();
      if (!signal.aborted) show(wordsOf(told, body.pruning.budget), told.fits === false);
    } catch (error) {
      if (error.name !== "AbortError" && !signal.aborted) show(quiet(error.code) ? [] : [error.message], true);
    }
  }, PAUSE_MS);

  function show(parts, over = false) {
    line.classList.toggle("over", over);
    line.replaceChildren(...parts.flatMap((part, at) => (at ? [" · ", part] : [part])));
  }
}

const quiet = (code) => ["unreachable", "unavailable", "unauthorized", "not_found", "http_404"].includes(code);

function wordsOf(told, budget) {
  const parts = [el("b", {}, plural(told.image_tokens, "picture token"))];
  if (told.text_tokens) parts.push(`${told.text_tokens} text`);
  return [...parts, budget];
}
export { bytes };
