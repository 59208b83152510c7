// The study page: keys, buttons and the parts that they move.

import "./plain.js";
import { complain } from "./api.js";
import { Decision } from "./decision.js";
import { keysOn, listen, turnKeys } from "./keys.js";
import { watch } from "./progress.js";
import { Viewer, ZOOM_STEP } from "./viewer.js";

const main = document.getElementById("main");
const deeds = {};

function study(step) {
  const links = [...document.querySelectorAll(".side-list ol a")];
  const at = links.findIndex((link) => link.getAttribute("aria-current") === "page");
  const next = links[at < 0 ? 0 : at + step];
  if (next) location.assign(next.href);
}

function help() {
  const dialog = document.getElementById("help");
  document.getElementById("keys-on").checked = keysOn();
  dialog.showModal();
}

function viewing(viewer) {
  const byId = (id) => document.getElementById(id);
  Object.assign(deeds, {
    "slice-back": () => viewer.slice(-1),
    "slice-on": () => viewer.slice(1),
    "zoom-in": () => viewer.zoom(ZOOM_STEP),
    "zoom-out": () => viewer.zoom(1 / ZOOM_STEP),
    "zoom-fit": () => viewer.fit(),
    darker: () => viewer.nudge(1),
    brighter: () => viewer.nudge(-1),
    flicker: () => viewer.flicker(),
    opacity: () => viewer.turnOpacity(),
    "finding-on": () => viewer.finding(1),
    "finding-back": () => viewer.finding(-1),
    volumes: async () => {
      const { toggle } = await import("./volumes.js");
      await toggle(viewer, main);
    },
  });
  for (const button of document.querySelectorAll("[data-plane]")) {
    button.addEventListener("click", () => viewer.setPlane(button.dataset.plane));
  }
  for (const button of document.querySelectorAll("[data-window]")) {
    button.addEventListener("click", () => viewer.setWindow(Number(button.dataset.window)));
  }
  for (const button of document.querySelectorAll("[data-map]")) {
    button.addEventListener("click", () => viewer.setMap(button.dataset.map));
  }
  for (const button of document.querySelectorAll("[data-finding]")) {
    button.addEventListener("click", () => viewer.jump(Number(button.dataset.finding)));
  }
  viewer.onchange = () => {
    const plane = viewer.scene.planes[viewer.plane];
    byId("slice").textContent = `${viewer.point[plane.axis] + 1} / ${plane.count}`;
    byId("opacity").textContent = viewer.opacityWord();
    press("[data-plane]", (button) => button.dataset.plane === viewer.plane);
    press("[data-window]", (button) => Number(button.dataset.window) === viewer.preset);
    press("[data-map]", (button) => button.dataset.map === viewer.map);
    press('[data-do="flicker"]', () => viewer.flickering);
    for (const button of document.querySelectorAll("[data-finding]")) {
      const current = Number(button.dataset.finding) === viewer.chosen;
      button.setAttribute("aria-current", String(current));
      if (current && button.dataset.seen !== "1") button.scrollIntoView({ block: "nearest" });
      button.dataset.seen = current ? "1" : "";
    }
    legend(viewer);
  };
  viewer.onchange();
}

function press(selector, on) {
  for (const button of document.querySelectorAll(selector)) button.setAttribute("aria-pressed", String(on(button)));
}

function legend(viewer) {
  const image = viewer.scene.images[viewer.map];
  const scale = document.querySelector("#legend .scale");
  document.getElementById("legend").hidden = !image.held;
  document.getElementById("map-words").textContent = image.held ? `${image.title}: ${image.words}` : "";
  document.getElementById("map-words").title = image.words;
  if (scale.dataset.map === viewer.map) return;
  scale.dataset.map = viewer.map;
  document.getElementById("legend-low").textContent = image.low;
  document.getElementById("legend-high").textContent = image.high;
  const count = image.colours.length;
  scale.setAttribute("viewBox", `0 0 1 ${count || 1}`);
  scale.replaceChildren(...image.colours.map((colour, place) => {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.setAttribute("y", String(count - 1 - place));
    rect.setAttribute("width", "1");
    rect.setAttribute("height", "1.02");
    rect.setAttribute("fill", colour);
    return rect;
  }));
}

function deciding() {
  const buttons = [...document.querySelectorAll("[data-decide]")];
  if (!buttons.length) return;
  const decision = new Decision(main.dataset.job, main.dataset.output, main.dataset.etag);
  for (const button of buttons) button.addEventListener("click", () => decision.open(button.dataset.decide));
}

function click(selector) {
  return () => document.querySelector(selector)?.click();
}

function following() {
  const line = document.getElementById("live-progress");
  if (!line) return;
  const [stage, figure, gauge] = ["stage", "figure", "gauge"].map((id) => document.getElementById(id));
  watch(line.dataset.job, {
    onprogress: ({ stage: name, fraction }) => {
      if (name) stage.textContent = name;
      if (fraction !== null) {
        gauge.value = fraction;
        figure.textContent = `${Math.round(100 * fraction)} %`;
      }
    },
    onend: () => location.reload(),
  });
}

function worklist() {
  const toggle = document.getElementById("list-toggle");
  const list = document.getElementById("worklist");
  toggle?.addEventListener("click", () => {
    const open = list.classList.toggle("open");
    toggle.setAttribute("aria-expanded", String(open));
    if (open) list.querySelector("a[aria-current='page'], a")?.focus();
  });
  list.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !list.classList.contains("open")) return;
    toggle.click();
    toggle.focus();
  });
}

Object.assign(deeds, { "study-on": () => study(1), "study-back": () => study(-1), help });
worklist();
deciding();
following();
if (main.dataset.scene) {
  try {
    const viewer = new Viewer(main);
    viewing(viewer);
    window.medsrViewer = viewer;
  } catch (fault) {
    complain(`The pictures cannot be shown: ${fault.message}`);
  }
}
for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", () => deeds[button.dataset.do]?.());
}
document.getElementById("help-close").addEventListener("click", () => document.getElementById("help").close());
document.getElementById("keys-on").addEventListener("change", (event) => turnKeys(event.target.checked));
listen({
  j: deeds["study-on"],
  k: deeds["study-back"],
  n: () => deeds["finding-on"]?.(),
  p: () => deeds["finding-back"]?.(),
  f: () => deeds.flicker?.(),
  d: click('[data-map="difference"]'),
  u: click('[data-map="supplied"]'),
  s: click('[data-map="spread"]'),
  o: () => deeds.opacity?.(),
  v: () => deeds.volumes?.(),
  a: click('[data-decide="released"]'),
  r: click('[data-decide="rejected"], [data-decide="withdrawn"]'),
  "?": help,
  "+": () => deeds["zoom-in"]?.(),
  "-": () => deeds["zoom-out"]?.(),
  0: () => deeds["zoom-fit"]?.(),
  ArrowUp: () => deeds["slice-on"]?.(),
  ArrowDown: () => deeds["slice-back"]?.(),
  ...Object.fromEntries([1, 2, 3, 4, 5].map((key) => [String(key), click(`[data-window="${key}"]`)])),
});
