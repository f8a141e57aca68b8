// The ask in three forms to take away: a link, a curl command, a Python script.

import { key } from "./api.js";
import { el, find, say } from "./dom.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const origin = () => location.origin;

/** The ask as a link to this page; pictures by their ids, so they are shown while the store has them. */
export function linkOf(ask) {
  const text = JSON.stringify(ask);
  const binary = Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
  return `${origin()}/#ask=${btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

/** What `linkOf` packed, or null where the address carries no (readable) ask. */
export function askIn(hash) {
  const packed = hash.match(/^#ask=([\w-]+)$/)?.[1];
  if (!packed) return null;
  try {
    const binary = atob(packed.replaceAll("-", "+").replaceAll("_", "/"));
    const ask = JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, (letter) => letter.charCodeAt(0))));
    return Array.isArray(ask.images) && typeof ask.question === "string" ? ask : null;
  } catch {
    return null;
  }
}

/** A command that works in any shell: ids of stored pictures, or the files by name. */
export function curlOf(body, pictures) {
  const lines = [`curl -s ${origin()}/v1/ask`];
  if (key.get()) lines.push('-H "Authorization: Bearer $MYOPIA_KEY"');
  const { question, ...params } = body;
  if (pictures.every((picture) => picture.id)) {
    lines.push("-H 'Content-Type: application/json'");
    lines.push(`-d ${quoted(JSON.stringify({ question, images: pictures.map(({ id }) => ({ id })), ...params }))}`);
  } else {
    lines.push(...pictures.map(({ name }) => `-F ${quoted(`images=@${name}`)}`));
    lines.push(`--form-string ${quoted(`question=${question}`)}`, `-F ${quoted(`params=${JSON.stringify(params)}`)}`);
  }
  return lines.join(" \\\n  ");
}

/** A script for the `openai` client; it reads the pictures from files of their names. */
export function pythonOf(body, pictures, model) {
  const { question, pruning, generation = {} } = body;
  const options = Object.entries(generation).map(([name, value]) => `    ${name}=${python(value)},\n`).join("");
  return `import base64, mimetypes, os
from pathlib import Path

from openai import OpenAI


def picture(name):
    data = base64.b64encode(Path(name).read_bytes()).decode()
    kind = mimetypes.guess_type(name)[0] or "image/png"
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}


client = OpenAI(base_url=${python(`${origin()}/v1`)}, api_key=os.environ.get("MYOPIA_KEY", "none"))
files = ${python(pictures.map(({ name }) => name))}
question = {"type": "text", "text": ${python(question)}}
reply = client.chat.completions.create(
    model=${python(model)},
    messages=[{"role": "user", "content": [*map(picture, files), question]}],
${options}    extra_body={"pruning": ${python(pruning)}},
)
print(reply.choices[0].message.content)
`;
}

/** A JSON value as Python writes it. */
function python(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, one]) => `${python(name)}: ${python(one)}`).join(", ")}}`;
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Opens the dialog with every form, each with a button that copies it. */
export function showShare(forms) {
  const blocks = forms.map(({ title, hint, text }) => {
    const copy = el("button", { type: "button", class: "quiet" }, "Copy");
    copy.addEventListener("click", async () => {
      await copyText(text);
      copy.textContent = "Copied";
      say(`${title} copied`);
      setTimeout(() => { copy.textContent = "Copy"; }, 1600);
    });
    return el("section", { class: "snippet", "data-form": title }, el("div", { class: "head" }, el("strong", {}, title), el("span", { class: "aside" }, hint), copy), el("pre", { tabindex: 0, "aria-label": title }, text));
  });
  find("share-body").replaceChildren(...blocks);
  find("share").showModal();
}

// Without https the clipboard API is missing; a selection and the old command still work.
async function copyText(text) {
  if (navigator.clipboard) { await navigator.clipboard.writeText(text); return; }
  const field = el("textarea", { class: "hidden", value: text });
  find("share-body").append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
