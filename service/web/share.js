// The ask in three forms to take away: a link, a curl command, a Python script.

import { call, key } from "./api.js";
import { el, find, say } from "./dom.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const origin = () => location.origin;

// Chromium takes 2 MB of address, Firefox 1 MB, chats much less.
const MOST_BYTES_IN_LINK = 90_000;

/** The ask as a link to this page, or null where its pictures are too large to travel in one. */
export async function linkOf(ask, pictures) {
  const images = await Promise.all(pictures.map(carried));
  if (images.some((image) => image === null)) return null;
  const text = JSON.stringify({ ...ask, images });
  const link = `${origin()}/#ask=${packed(new TextEncoder().encode(text))}`;
  return link.length > 2 * MOST_BYTES_IN_LINK ? null : link;
}

/** A picture in a link: an example by name, a stored one by id, else its bytes while it is small. */
async function carried({ file, id, name, example }) {
  if (example) return { name, example };
  if (id) return { name, id };
  if (file.size > MOST_BYTES_IN_LINK) return null;
  return { name, data: packed(new Uint8Array(await file.arrayBuffer())), type: file.type };
}

/** The picture that a link carries, as a File; throws where nobody has it any more. */
export async function fileOf({ name, example, id, data, type }) {
  if (data) return new File([unpacked(data)], name, { type });
  const answer = example ? await call("GET", `/web/examples/${encodeURIComponent(name)}`) : await call("GET", `/v1/images/${id}`);
  const blob = await answer.blob();
  return new File([blob], name || "picture", { type: blob.type });
}

const packed = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const unpacked = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));

/** What `linkOf` packed, or null where the address carries no (readable) ask. */
export function askIn(hash) {
  const said = hash.match(/^#ask=([\w-]+)$/)?.[1];
  if (!said) return null;
  try {
    const ask = JSON.parse(new TextDecoder().decode(unpacked(said)));
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
  const { question, generation = {}, ...own } = body;
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
${options}    extra_body=${python(own)},
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
