// The worklist: uploads, rows that keep themselves up to date, j and k.

import "./plain.js";
import { announce, complain } from "./api.js";
import { listen } from "./keys.js";
import { Upload } from "./upload.js";

const EVERY_MS = 8000;
const rows = document.getElementById("rows");
let upload = null;

async function renew() {
  if (document.hidden) return;
  const query = new URLSearchParams(location.search);
  query.set("show", rows.dataset.show);
  let answer;
  try {
    answer = await fetch(`/review/rows?${query}`, { credentials: "same-origin", cache: "no-store" });
  } catch {
    complain("The server does not answer; the list may be old.");
    return;
  }
  if (answer.status === 401 || answer.status === 403) {
    location.assign("/review/login");
    return;
  }
  if (!answer.ok) return;
  complain("");
  const made = document.createElement("template");
  made.innerHTML = await answer.text();
  const before = rows.querySelectorAll("[data-job]").length;
  const focused = document.activeElement?.closest?.("#rows [data-job]")?.dataset.job;
  rows.replaceChildren(...made.content.childNodes);
  if (focused) row(focused)?.querySelector("a")?.focus();
  const after = rows.querySelectorAll("[data-job]").length;
  if (after > before) announce(`${after - before} more in the list`);
}

function row(job) {
  return rows.querySelector(`[data-job="${CSS.escape(job)}"]`);
}

function step(by) {
  const links = [...rows.querySelectorAll("a.open")];
  const at = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
}

if (document.getElementById("drop")) {
  upload = new Upload();
  upload.done = renew;
}
setInterval(renew, EVERY_MS);
listen({ j: () => step(1), k: () => step(-1) });
