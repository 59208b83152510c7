// The viewer: one point, one window, one zoom, shown by every pane.

import { announce } from "./api.js";
import { middleOf, placeOf, placeWords, pointAt, sizeMm } from "./geometry.js";
import { Pane } from "./pane.js";
import { Pictures } from "./pictures.js";
import { follow } from "./pointer.js";

const OPACITIES = [["off", 0], ["half", 0.5], ["full", 0.95]];
const ZOOM_STEP = 1.25;
const MOST_ZOOM = 16;
const FLICKER_MS = 700;
const LEVEL_STEP = 0.1;

export class Viewer {
  constructor(main) {
    this.scene = JSON.parse(main.dataset.scene);
    this.pictures = new Pictures(main.dataset.job, main.dataset.version);
    this.label = main.querySelector(".verdict .label:not(.soft)")?.textContent || "";
    this.point = [...this.scene.start];
    this.plane = this.scene.main;
    this.chosen = this.scene.findings.length ? this.scene.findings[0].number : 0;
    this.map = "difference";
    this.opacity = 0;
    this.flickering = false;
    this.shown = "restored";
    this.views = {};
    this.panes = [...main.querySelectorAll(".pane")].map((figure) => new Pane(figure));
    this.setWindow(this.scene.windows[0].key, false);
    for (const pane of this.panes) follow(pane, this);
    new ResizeObserver(() => this.lay()).observe(main.querySelector(".panes"));
    this.fit();
  }

  // Which plane and image each pane shows.
  roles() {
    const others = Object.keys(this.scene.planes).filter((name) => name !== this.plane);
    return {
      input: [this.plane, "input"],
      restored: [this.plane, "restored"],
      map: [this.plane, this.map],
      "first-input": [others[0], "input"],
      "first-restored": [others[0], "restored"],
      "second-input": [others[1], "input"],
      "second-restored": [others[1], "restored"],
    };
  }

  planeOf(name) {
    return this.scene.planes[this.roles()[name][0]];
  }

  fit() {
    for (const [name, plane] of Object.entries(this.scene.planes)) {
      const [wide, high] = sizeMm(plane);
      this.views[name] = { zoom: 1, x: wide / 2, y: high / 2 };
    }
    this.lay();
    this.refresh();
  }

  lay() {
    for (const pane of this.panes) {
      const name = this.roles()[pane.name][0];
      pane.lay(this.scene.planes[name], this.views[name]);
      pane.draw(this.point, this.scene.findings, this.chosen);
    }
  }

  // Zooms about a place in mm of a plane, the point by default; every plane takes the same zoom.
  zoom(factor, name = this.plane, at = null) {
    const before = this.views[name].zoom;
    const zoom = Math.min(MOST_ZOOM, Math.max(1, before * factor));
    if (zoom === 1) {
      this.fit();
      return;
    }
    for (const [key, view] of Object.entries(this.views)) {
      const plane = this.scene.planes[key];
      const [x, y] = key === name && at ? at : placeOf(plane, this.point);
      const share = view.zoom / zoom;
      view.x = x + (view.x - x) * share;
      view.y = y + (view.y - y) * share;
      view.zoom = zoom;
    }
    this.lay();
  }

  pan(name, x, y) {
    const view = this.views[name];
    const [wide, high] = sizeMm(this.scene.planes[name]);
    view.x = Math.min(wide, Math.max(0, view.x - x));
    view.y = Math.min(high, Math.max(0, view.y - y));
    this.lay();
  }

  slice(step, name = this.plane) {
    const plane = this.scene.planes[name];
    const index = Math.min(plane.count - 1, Math.max(0, this.point[plane.axis] + step));
    if (index === this.point[plane.axis]) return;
    this.point[plane.axis] = index;
    this.lay();
    this.refresh();
    if (name === this.plane) announce(`${this.plane} slice ${index + 1} of ${plane.count}`);
  }

  moveTo(point) {
    this.point = point;
    this.lay();
    this.refresh();
  }

  pick(pane, event) {
    const [x, y] = pane.at(event);
    const plane = this.planeOf(pane.name);
    const [wide, high] = sizeMm(plane);
    if (x < 0 || y < 0 || x > wide || y > high) return;
    this.moveTo(pointAt(plane, this.point, x, y));
  }

  setPlane(name) {
    this.plane = name;
    this.lay();
    this.refresh();
    announce(`${name} plane`);
  }

  setWindow(key, draw = true) {
    const preset = this.scene.windows.find((item) => item.key === key);
    if (!preset) return;
    this.window = [preset.low, preset.high];
    this.preset = key;
    if (draw) {
      this.refresh();
      announce(`window ${preset.title}`);
    }
  }

  // Moves level and width by shares of the width.
  level(up, wider) {
    const [low, high] = this.window;
    const width = high - low;
    const level = (low + high) / 2 + up * width;
    const next = Math.max(width * (1 + wider), width * 0.02);
    this.window = [level - next / 2, level + next / 2];
    this.preset = 0;
    this.refresh();
  }

  nudge(up) {
    this.level(up * LEVEL_STEP, 0);
  }

  setMap(name) {
    this.map = name;
    this.refresh();
    const image = this.scene.images[name];
    announce(image.held ? `map: ${image.title}` : image.words);
  }

  turnOpacity() {
    this.opacity = (this.opacity + 1) % OPACITIES.length;
    this.refresh();
    announce(`overlay ${OPACITIES[this.opacity][0]}`);
  }

  finding(step) {
    const { findings } = this.scene;
    if (!findings.length) {
      announce("no findings");
      return;
    }
    const place = findings.findIndex((item) => item.number === this.chosen);
    this.jump(findings[(place + step + findings.length) % findings.length].number);
  }

  jump(number) {
    const item = this.scene.findings.find((one) => one.number === number);
    if (!item) return;
    this.chosen = number;
    this.moveTo(middleOf(item.box));
    this.centre();
    announce(`finding ${number} of ${this.scene.findings.length}: ${item.title}, ${this.words()}`);
  }

  centre() {
    for (const [name, view] of Object.entries(this.views)) {
      if (view.zoom > 1) [view.x, view.y] = placeOf(this.scene.planes[name], this.point);
    }
    this.lay();
  }

  words() {
    return placeWords(this.scene.affine, this.point);
  }

  // Alternates input and restored in the restored pane; one swap a key press where motion is not wanted.
  flicker() {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (still) {
      this.flickering = this.shown === "restored";
      this.swap();
      return;
    }
    this.flickering = !this.flickering;
    clearInterval(this.timer);
    if (this.flickering) this.timer = setInterval(() => this.swap(), FLICKER_MS);
    else this.swap("restored");
    this.refresh();
    announce(this.flickering ? "flicker on" : "flicker off");
  }

  swap(to = this.shown === "restored" ? "input" : "restored") {
    const pane = this.panes.find((one) => one.name === "restored");
    if (to === "input" && !pane.other.dataset.ready) return;
    this.shown = to;
    pane.other.hidden = to !== "input";
    this.tag(pane, to);
    pane.title.textContent = this.scene.images[to].title;
    this.onchange?.();
  }

  refresh() {
    const roles = this.roles();
    for (const pane of this.panes) {
      const [name, image] = roles[pane.name];
      this.fill(pane, name, image);
    }
    const pane = this.panes.find((one) => one.name === "restored");
    this.overlay(pane);
    if (this.flickering || this.shown === "input") this.behind(pane);
    this.ahead();
    this.onchange?.();
  }

  fill(pane, name, image) {
    const plane = this.scene.planes[name];
    const index = this.point[plane.axis];
    const held = this.scene.images[image];
    const title = pane.name === "restored" && this.shown === "input" ? "Input" : held.title;
    const where = `${plane.title} ${index + 1} of ${plane.count}`;
    pane.label(title, where, `${title}, ${where}, at ${this.words()}`);
    pane.picture.hidden = !held.held;
    pane.say(held.held ? "" : held.words);
    this.tag(pane, pane.name === "restored" ? this.shown : image);
    if (!held.held) {
      pane.figure.removeAttribute("aria-busy");
      return;
    }
    const unmeasured = image !== "restored" && plane.axis === this.scene.synthetic.axis
      && this.scene.synthetic.slices.includes(index);
    if (unmeasured && (image === "input" || image === "difference")) {
      pane.say("This slice is synthetic: there is no measurement of it.");
    }
    const window = image === "input" || image === "restored" ? this.window : null;
    pane.show(pane.picture, this.pictures.get(image, name, index, window));
  }

  // No restored picture without its label, the input never with it.
  tag(pane, image) {
    const restored = image !== "input";
    pane.tag.textContent = restored ? ["RESTORED", this.label || "research only"].filter(Boolean).join(" · ") : "INPUT";
    if (image !== "input" && image !== "restored") pane.tag.textContent = this.label;
    pane.tag.classList.toggle("plain", !restored);
  }

  overlay(pane) {
    const share = OPACITIES[this.opacity][1];
    pane.over.hidden = !share || !this.scene.images[this.map].held;
    if (pane.over.hidden) return;
    pane.over.style.opacity = String(share);
    const plane = this.scene.planes[this.plane];
    pane.show(pane.over, this.pictures.get(this.map, this.plane, this.point[plane.axis], null));
  }

  behind(pane) {
    const plane = this.scene.planes[this.plane];
    pane.show(pane.other, this.pictures.get("input", this.plane, this.point[plane.axis], this.window));
  }

  // The next slices of the main plane, so that the wheel does not wait.
  ahead() {
    const plane = this.scene.planes[this.plane];
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      for (const step of [1, -1, 2, -2]) {
        const index = this.point[plane.axis] + step;
        if (index < 0 || index >= plane.count) continue;
        for (const image of ["restored", "input"]) {
          this.pictures.get(image, this.plane, index, this.window).catch(() => {});
        }
      }
    }, 150);
  }

  opacityWord() {
    return OPACITIES[this.opacity][0];
  }
}

export { ZOOM_STEP };
