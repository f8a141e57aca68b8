// Ways in for pictures: drop anywhere, paste, the file chooser, the examples.

import { el, find, plural, say } from "./dom.js";
import { fileOf } from "./share.js";

const isPicture = (file) => file.type.startsWith("image/");

/** Connects the page's ways in with `pictures`; returns what opens the file chooser. */
export function takeIn(pictures) {
  const chooser = find("files");
  const choose = () => chooser.click();

  function add(files) {
    const good = [...files].filter(isPicture);
    const left = pictures.add(good);
    const skipped = files.length - good.length;
    const told = [`${plural(good.length - left, "picture")} added`];
    if (left) told.push(`${left} left out, 64 is the most`);
    if (skipped) told.push(`${plural(skipped, "file")} left out, not a picture`);
    say(told.join("; "));
    find("left-out").textContent = told.slice(1).join("; ");
  }

  find("drop").addEventListener("click", choose);
  chooser.addEventListener("change", () => { add(chooser.files); chooser.value = ""; });

  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const veil = (on) => { find("veil").hidden = !on; };
  addEventListener("dragenter", (event) => { if (carriesFiles(event)) { depth += 1; veil(true); } });
  addEventListener("dragleave", (event) => { if (carriesFiles(event)) { depth -= 1; veil(depth > 0); } });
  addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    veil(false);
    add(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files || [])];
    if (files.some(isPicture)) { event.preventDefault(); add(files); }
  });
  return choose;
}

/** Offers the asks of `examples/`: a click fills in pictures, question and options. */
export async function offerExamples(pictures, fill) {
  const answer = await fetch("/web/examples/index.json");
  const place = find("examples");
  for (const { title, question, files, options } of await answer.json()) {
    const strip = el("span", { class: "strip", "aria-hidden": "true" }, files.slice(0, 4).map((name) => el("img", { src: `/web/examples/${name}`, alt: "", width: 34, height: 34 })));
    const use = async () => {
      const blobs = await Promise.all(files.map(async (name) => fileOf({ name, example: true })));
      pictures.clear();
      pictures.add(blobs, { example: true });
      fill({ question, options: options || [] });
    };
    const label = el("span", {}, question, el("small", {}, `${title} · ${plural(files.length, "picture")}`));
    place.append(el("button", { type: "button", class: "example", on: { click: use } }, strip, label));
  }
  place.hidden = false;
  pictures.addEventListener("change", () => { place.hidden = pictures.list.length > 0; });
}
