// The page round the ask: light and dark, the key's dialog, the picture of the empty state.

import { key, onKeyWanted } from "./api.js";
import { el, find } from "./dom.js";
import { paintAgain } from "./kept.js";

/** Wires what needs no ask. `keyed` hears of a new key. */
export function dressUp(keyed) {
  const root = document.documentElement;
  const stored = localStorage.getItem("myopia-theme");
  if (stored) root.dataset.theme = stored;
  find("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("myopia-theme", root.dataset.theme);
    paintAgain();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintAgain);
  find("lens").append(...Array.from({ length: 45 }, (_, at) => el("i", { class: Math.hypot((at % 9) - 4, Math.floor(at / 9) - 2) < 2.1 || at === 8 || at === 36 ? "sharp" : "" })));
  for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  onKeyWanted(() => { find("key-open").hidden = false; if (!find("key").open) find("key").showModal(); });
  find("key-open").hidden = !key.get();
  find("key-open").addEventListener("click", () => find("key").showModal());
  find("key-form").addEventListener("submit", () => { key.set(find("key-field").value.trim()); keyed(); });
}
