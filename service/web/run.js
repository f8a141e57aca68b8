// One ask from sending to its ending: what came back, as news. Draws nothing.

import { Trouble, call, eventsOf, offers } from "./api.js";

const TRIES = 4;
const PAUSE_MS = 700;

/**
 * Sends `body` and calls `news` with {kind: "accepted" | "waiting" | "token" | "done" | "failed"}.
 * A stream that breaks is taken up again where it broke, as long as the ask's id is known.
 */
export class Run {
  #left = new AbortController();
  #ended = false;
  id = null;
  sentAt = 0;
  firstAt = 0;
  tokens = 0;

  answer = null;

  /** `images` are items of the ask ({id}), or files where the service keeps no pictures. */
  constructor(body, images, news) {
    this.body = { ...body, stream: true };
    this.images = images;
    this.news = (event) => {
      if (this.#ended) return;
      this.#ended = event.kind === "done" || event.kind === "failed";
      this.answer = event.answer ?? null;
      news(event, this);
    };
  }

  get ended() { return this.#ended; }

  async start() {
    this.sentAt = performance.now();
    let last = null;
    try {
      const response = await call("POST", "/v1/ask", { ...this.#sent(), accept: "text/event-stream", signal: this.#left.signal });
      this.id = response.headers.get("X-Ask-Id");
      this.news({ kind: "accepted" });
      last = await this.#read(response, last);
      for (let tried = 0; !this.#ended && this.id && offers("/v1/asks/{ask_id}/events") && tried < TRIES; tried += 1) {
        await new Promise((done) => setTimeout(done, PAUSE_MS * (tried + 1)));
        last = await this.#resume(last);
      }
      if (!this.#ended) throw new Trouble({ code: "unreachable", detail: "The connection broke before the answer was complete." });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Leaves, and tells the service so; the answer so far stays. */
  async cancel() {
    if (this.#ended) return;
    const { id } = this;
    this.news({ kind: "failed", problem: { code: "cancelled", detail: "You cancelled this ask." } });
    this.#left.abort();
    if (id && offers("/v1/asks/{ask_id}")) await call("DELETE", `/v1/asks/${id}`).catch(() => {});
  }

  #sent() {
    if (this.images.every((image) => image.id)) return { json: { ...this.body, images: this.images } };
    const form = new FormData();
    const { question, ...params } = this.body;
    for (const { file, name } of this.images) form.append("images", file, name);
    form.append("question", question);
    form.append("params", JSON.stringify(params));
    return { body: form };
  }

  #fail(error) {
    if (error.name === "AbortError" && this.#ended) return;
    const problem = error instanceof Trouble ? error.problem : { code: "unreachable", detail: "The connection broke before the answer was complete." };
    this.news({ kind: "failed", problem, retryAfter: error.retryAfter });
  }

  async #read(response, last) {
    try {
      for await (const { id, event, data } of eventsOf(response)) {
        last = id ?? last;
        if (event === "token") {
          this.firstAt ||= performance.now();
          this.tokens += 1;
          this.news({ kind: "token", text: data.text });
        } else if (event === "progress") this.news({ kind: "waiting", ...data });
        else if (event === "done") this.news({ kind: "done", answer: data });
        else if (event === "failed") this.news({ kind: "failed", problem: data });
      }
    } catch (error) {
      if (error.name === "AbortError" || !this.id) throw error;
    }
    return last;
  }

  async #resume(last) {
    try {
      const response = await call("GET", `/v1/asks/${this.id}/events`, { headers: last ? { "Last-Event-ID": last } : {}, signal: this.#left.signal });
      return await this.#read(response, last);
    } catch (error) {
      if (error.code !== "unreachable") throw error;
      return last;
    }
  }
}
