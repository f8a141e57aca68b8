// The contact sheet: shows the pictures in order; drag, arrow keys and × change them.

import { el, find, plural, say } from "./dom.js";
import { MOST } from "./pictures.js";

/** Draws `pictures` into the page and keeps it drawn. `choose` opens the file chooser. */
export function showSheet(pictures, choose) {
  const sheet = find("sheet");
  const tiles = new Map();

  function draw() {
    const { list } = pictures;
    for (const [key, tile] of tiles) {
      if (!list.some((picture) => picture.key === key)) { tile.remove(); tiles.delete(key); }
    }
    list.forEach((picture, at) => {
      if (!tiles.has(picture.key)) tiles.set(picture.key, tileOf(picture));
      const tile = tiles.get(picture.key);
      if (sheet.children[at] !== tile) sheet.insertBefore(tile, sheet.children[at] || null);
      refresh(tile, picture, at, list.length);
    });
    addTile.hidden = !list.length || list.length >= MOST;
    if (sheet.lastElementChild !== addTile) sheet.append(addTile);
    find("drop").hidden = list.length > 0;
    find("clear").hidden = !list.length;
    find("sheet-hint").hidden = list.length < 2;
    find("pictures-count").textContent = list.length ? `${list.length} of ${MOST}` : "";
    const faults = list.flatMap((picture, at) => (picture.fault ? [el("li", {}, `Picture ${at + 1}: ${picture.fault.detail}`)] : []));
    find("faults").replaceChildren(...faults);
  }

  function tileOf(picture) {
    const image = el("img", { src: picture.url, alt: "", draggable: "false" });
    image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 160));
    const grip = el("button", { type: "button", class: "grip", on: { keydown: (event) => onKey(event, picture) } }, image);
    const remove = el("button", { type: "button", class: "remove", on: { click: () => take(picture) } }, "×");
    const tile = el("li", { class: "tile", "data-key": picture.key }, grip, el("span", { class: "number", "aria-hidden": "true" }), remove);
    grip.addEventListener("pointerdown", (event) => drag(event, tile, picture));
    return tile;
  }

  function refresh(tile, picture, at, count) {
    tile.classList.toggle("busy", picture.busy);
    tile.classList.toggle("fault", Boolean(picture.fault));
    tile.querySelector(".number").textContent = at + 1;
    tile.title = picture.tokens ? `${picture.name} · ${plural(picture.tokens, "token")}` : picture.name;
    tile.querySelector(".grip").setAttribute("aria-label", `Picture ${at + 1} of ${count}: ${picture.name}. Arrow keys move it.`);
    tile.querySelector(".remove").setAttribute("aria-label", `Remove picture ${at + 1}`);
  }

  function take(picture) {
    const at = pictures.list.indexOf(picture);
    pictures.remove(picture.key);
    say(`Picture ${at + 1} removed, ${plural(pictures.list.length, "picture")} left`);
    const next = sheet.children[Math.min(at, pictures.list.length - 1)];
    (next?.querySelector(".grip") || find("drop")).focus();
  }

  function onKey(event, picture) {
    const at = pictures.list.indexOf(picture);
    const to = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: pictures.list.length - 1 }[event.key];
    if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); take(picture); }
    if (to === undefined) return;
    event.preventDefault();
    pictures.move(picture.key, to);
    tiles.get(picture.key).querySelector(".grip").focus();
    say(`Picture moved to place ${pictures.list.indexOf(picture) + 1} of ${pictures.list.length}`);
  }

  // A finger first has to rest on a picture, so that swiping over the sheet still scrolls the page.
  // The listener that stops scrolling has to be there before the finger is.
  let held = false;
  sheet.addEventListener("touchmove", (event) => held && event.cancelable && event.preventDefault(), { passive: false });
  sheet.addEventListener("contextmenu", (event) => held && event.preventDefault());

  function drag(start, tile, picture) {
    if (start.button !== 0 || pictures.list.length < 2) return;
    const rest = start.pointerType === "touch" ? 220 : 0;
    held = rest === 0;
    const timer = setTimeout(() => { held = true; tile.classList.add("moving"); }, rest);
    const move = (event) => {
      const far = Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY);
      if (!held) { if (far > 8) end(); return; }
      if (far < 5) return;
      tile.classList.add("moving");
      const under = document.elementsFromPoint(event.clientX, event.clientY).map((node) => node.closest?.(".tile")).find((other) => other && other !== tile && other !== addTile);
      if (under) pictures.move(picture.key, [...sheet.children].indexOf(under));
    };
    const end = () => {
      clearTimeout(timer);
      held = false;
      tile.classList.remove("moving");
      removeEventListener("pointermove", move);
      for (const kind of ["pointerup", "pointercancel"]) removeEventListener(kind, end);
    };
    addEventListener("pointermove", move);
    for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, end);
  }

  const addTile = el("li", { class: "tile add" }, el("button", { type: "button", class: "grip", "aria-label": "Add pictures", on: { click: choose } }, "+"));
  pictures.addEventListener("change", draw);
  find("clear").addEventListener("click", () => { pictures.clear(); find("drop").focus(); });
  draw();
}
