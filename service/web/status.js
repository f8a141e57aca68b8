// Whether an ask would be taken up right now, in the bar and, when not, in a line that says why.

import { el, find } from "./dom.js";

const EVERY_MS = 4000;
const SOON_MS = 1200;

const WORDS = {
  ready: ["Ready", null],
  waiting: ["No worker", ["No worker is taking asks.", " Asks wait until their deadline; they are answered as soon as a worker is there."]],
  store: ["Store away", ["The store of asks (Redis) does not answer.", " Nothing can be asked until it is back; this page goes on looking."]],
  down: ["No connection", ["The service does not answer.", " It may have been stopped. This page goes on looking; nothing you entered is lost."]],
};

/** Looks now and then, and once at `look()`. `back` is called when the service is ready again. */
export function watchState(back) {
  let timer = 0;
  let before = "checking";

  async function look() {
    clearTimeout(timer);
    const now = await readiness();
    if (now !== before) show(now);
    if (now === "ready" && before !== "ready") back();
    before = now;
    timer = setTimeout(look, document.hidden ? 5 * EVERY_MS : now === "ready" ? EVERY_MS : SOON_MS);
  }

  function show(now) {
    const [short, long] = WORDS[now];
    find("state").dataset.state = now === "ready" ? "ready" : now === "waiting" ? "waiting" : "down";
    find("state-text").textContent = short;
    find("notice").hidden = !long;
    if (long) find("notice").replaceChildren(el("strong", {}, long[0]), el("span", {}, long[1]));
  }

  document.addEventListener("visibilitychange", () => document.hidden || look());
  look();
  return look;
}

async function readiness() {
  try {
    const answer = await fetch("/readyz", { cache: "no-store" });
    if (answer.ok) return "ready";
    return /store|redis/i.test(await answer.text()) ? "store" : "waiting";
  } catch {
    return "down";
  }
}
