// The list of pictures: order, upload to the store, what each one costs. Knows no elements.

import { call } from "./api.js";

export const MOST = 64;
const SENDING_AT_ONCE = 4;

/** Emits "change" (which pictures, in which order) and "fault" (a picture that cannot be used). */
export class Pictures extends EventTarget {
  #waiting = [];
  #sending = 0;
  #made = 0;
  list = [];
  canStore = true; // whether the service has /v1/images; without it pictures ride in the ask

  /** Adds files at the end; `example`: they are our own, by name. Returns how many did not fit. */
  add(files, { example = false } = {}) {
    const room = MOST - this.list.length;
    [...files].slice(0, room).forEach((file) => {
      const name = file.name || "pasted.png";
      const picture = { key: (this.#made += 1), file, name, example, url: URL.createObjectURL(file), id: null, tokens: null, fault: null, busy: false };
      this.list.push(picture);
      this.#waiting.push(picture);
    });
    this.#changed();
    this.#send();
    return Math.max(0, files.length - room);
  }

  remove(key) {
    const at = this.list.findIndex((picture) => picture.key === key);
    if (at < 0) return;
    URL.revokeObjectURL(this.list[at].url);
    this.list.splice(at, 1);
    this.#changed();
  }

  clear() {
    this.list.forEach((picture) => URL.revokeObjectURL(picture.url));
    this.list = [];
    this.#changed();
  }

  /** Moves a picture to place `to`, the others closing up. */
  move(key, to) {
    const from = this.list.findIndex((picture) => picture.key === key);
    const place = Math.max(0, Math.min(this.list.length - 1, to));
    if (from < 0 || from === place) return;
    this.list.splice(place, 0, ...this.list.splice(from, 1));
    this.#changed();
  }

  /** Takes in that the service refused a picture: what its store lost is sent again, else it is at fault. */
  refused(picture, detail) {
    if (picture.id) { picture.id = null; this.#waiting.push(picture); } else picture.fault = { code: "bad_image", detail };
    this.#changed();
    this.#send();
  }

  /** Resolves when no picture is on its way to the store any more. */
  async stored() {
    while (this.#sending || this.#waiting.length) {
      await new Promise((done) => this.addEventListener("change", done, { once: true }));
    }
  }

  /** Sends again what failed for reasons that pass (a key, a service that was away). */
  retry() {
    for (const picture of this.list) {
      if (picture.fault && picture.fault.code !== "bad_image") { picture.fault = null; this.#waiting.push(picture); }
    }
    this.#send();
  }

  /** The pictures as an ask's `images`: by id, or the files where one is not in the store. */
  async items() {
    await this.stored();
    const all = this.list.every((picture) => picture.id);
    return this.list.map(({ id, file, name }) => (all ? { id } : { file, name }));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  async #send() {
    while (this.canStore && this.#waiting.length && this.#sending < SENDING_AT_ONCE) {
      const picture = this.#waiting.shift();
      this.#sending += 1;
      picture.busy = true;
      this.#store(picture).finally(() => {
        this.#sending -= 1;
        picture.busy = false;
        this.#changed();
        this.#send();
      });
    }
    if (!this.canStore) this.#waiting = [];
  }

  async #store(picture) {
    try {
      const form = new FormData();
      form.append("image", picture.file, picture.name);
      const told = await (await call("POST", "/v1/images", { body: form })).json();
      Object.assign(picture, { id: told.id, tokens: told.tokens ?? null, fault: null });
    } catch (trouble) {
      picture.fault = { code: trouble.code || "internal", detail: trouble.message.replace(/^Picture \d+: /, "") };
      this.dispatchEvent(new CustomEvent("fault", { detail: { picture, trouble } }));
    }
  }
}
