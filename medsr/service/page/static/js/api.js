// Requests to our own server: session cookie, CSRF token, and problems in words.

export class Problem extends Error {
  constructor(status, code, words) {
    super(words);
    this.status = status;
    this.code = code;
  }
}

export function csrf() {
  return document.body.dataset.csrf || "";
}

export async function call(method, url, { body, headers = {}, json } = {}) {
  const sent = { Accept: "application/json", "X-CSRF-Token": csrf(), ...headers };
  if (json !== undefined) {
    sent["Content-Type"] = "application/json";
    body = JSON.stringify(json);
  }
  let answer;
  try {
    answer = await fetch(url, { method, headers: sent, body, credentials: "same-origin", cache: "no-store" });
  } catch {
    throw new Problem(0, "offline", "The server does not answer. Nothing was changed; try again.");
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

export async function problemOf(answer) {
  let told = {};
  try {
    told = await answer.json();
  } catch {
    // Not every refusal comes from us: a proxy in between answers in its own words.
  }
  return problem(answer.status, told);
}

export function problem(status, told) {
  const code = String(told.type || "").replace("urn:medsr:", "") || `http.${status}`;
  const words = [told.title, told.detail, told.remedy].filter((text) => typeof text === "string" && text);
  const unique = words.filter((text, place) => words.indexOf(text) === place);
  return new Problem(status, code, unique.join(". ") || `The server answered ${status}.`);
}

let clearing = 0;

export function announce(words) {
  const live = document.getElementById("live");
  if (!live) return;
  live.textContent = words;
  clearTimeout(clearing);
  clearing = setTimeout(() => { live.textContent = ""; }, 6000);
}

export function complain(words) {
  const alert = document.getElementById("alert");
  if (!alert) return;
  alert.textContent = words;
  alert.hidden = !words;
}
