// One picture of a plane: image, boxes, cross, rim letters, label; turned and scaled as the viewer says.

import { placeOf, rectangleOf, sizeMm } from "./geometry.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST_MARK = 0.02;
const CRISP_FROM = 2.2;

export class Pane {
  constructor(figure) {
    this.figure = figure;
    this.name = figure.dataset.pane;
    this.frame = figure.querySelector(".window");
    this.stage = figure.querySelector(".stage");
    this.picture = figure.querySelector(".picture");
    this.other = figure.querySelector(".other");
    this.over = figure.querySelector(".over");
    this.marks = figure.querySelector(".marks");
    this.title = figure.querySelector(".title");
    this.about = figure.querySelector(".about");
    this.tag = figure.querySelector(".tag");
    this.absent = figure.querySelector(".absent");
    this.wanted = new Map();
    this.numbers = [];
  }

  // Puts the picture of a promise into an <img>, unless another was asked for in the meantime.
  async show(image, promise, after = () => {}) {
    this.wanted.set(image, promise);
    this.figure.setAttribute("aria-busy", "true");
    try {
      const blob = await promise;
      if (this.wanted.get(image) !== promise) return;
      if (image.getAttribute("src") !== blob) image.src = blob;
      await image.decode().catch(() => {});
      if (this.wanted.get(image) !== promise) return;
      image.dataset.ready = "1";
      after();
      this.figure.removeAttribute("aria-busy");
    } catch (fault) {
      if (this.wanted.get(image) !== promise) return;
      this.figure.removeAttribute("aria-busy");
      this.say(fault.message);
    }
  }

  say(words) {
    this.absent.textContent = words;
    this.absent.hidden = !words;
  }

  label(title, about, alt) {
    this.title.textContent = title;
    this.about.textContent = about;
    this.picture.alt = alt;
  }

  // `view`: zoom, and the place in mm that lies in the middle of the frame.
  lay(plane, view) {
    this.plane = plane;
    const [wide, high] = sizeMm(plane);
    const { clientWidth: width, clientHeight: height } = this.frame;
    this.scale = Math.min(width / wide, height / high) * view.zoom;
    this.left = width / 2 - view.x * this.scale;
    this.top = height / 2 - view.y * this.scale;
    const style = this.stage.style;
    style.width = `${wide * this.scale}px`;
    style.height = `${high * this.scale}px`;
    style.transform = `translate(${this.left}px, ${this.top}px)`;
    this.marks.setAttribute("viewBox", `0 0 ${wide} ${high}`);
    const crisp = this.scale * Math.min(...plane.pixelMm) * (window.devicePixelRatio || 1) >= CRISP_FROM;
    for (const image of [this.picture, this.other, this.over]) image.classList.toggle("crisp", crisp);
    const [left, right, top, bottom] = plane.letters;
    for (const [side, letter] of Object.entries({ left, right, top, bottom })) {
      this.figure.querySelector(`.rim.${side}`).textContent = letter;
    }
  }

  // The place in mm under a pointer.
  at(event) {
    const frame = this.frame.getBoundingClientRect();
    return [
      (event.clientX - frame.left - this.left) / this.scale,
      (event.clientY - frame.top - this.top) / this.scale,
    ];
  }

  draw(point, findings, chosen) {
    const { plane } = this;
    const [wide, high] = sizeMm(plane);
    const shapes = [];
    const index = point[plane.axis];
    for (const number of this.numbers) number.remove();
    this.numbers = [];
    for (const item of findings) {
      if (index < item.box[0][plane.axis] || index >= item.box[1][plane.axis]) continue;
      const box = grown(rectangleOf(plane, item.box), LEAST_MARK * wide);
      const rect = shape("rect", { x: box.left, y: box.top, width: box.width, height: box.height });
      rect.setAttribute("class", `${item.kind}${item.number === chosen ? " chosen" : ""}`);
      shapes.push(rect);
      this.number(item, box);
    }
    const [x, y] = placeOf(plane, point);
    const gap = 9 / this.scale;
    for (const line of [
      [0, y, x - gap, y], [x + gap, y, wide, y], [x, 0, x, y - gap], [x, y + gap, x, high],
    ]) {
      if (line[2] < line[0] || line[3] < line[1]) continue;
      const drawn = shape("line", { x1: line[0], y1: line[1], x2: line[2], y2: line[3] });
      drawn.setAttribute("class", "cross");
      shapes.push(drawn);
    }
    this.marks.replaceChildren(...shapes);
  }

  number(item, box) {
    const label = document.createElement("span");
    label.className = `number ${item.kind}`;
    label.textContent = String(item.number);
    const x = this.left + (box.left + box.width) * this.scale + 2;
    const y = this.top + box.top * this.scale - 6;
    label.style.transform = `translate(${Math.max(0, Math.min(x, this.frame.clientWidth - 16))}px, ${Math.max(0, y)}px)`;
    label.style.left = "0";
    label.style.top = "0";
    this.frame.append(label);
    this.numbers.push(label);
  }
}

function shape(name, values) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) made.setAttribute(key, value.toFixed(3));
  return made;
}

function grown(box, least) {
  const wide = Math.max(box.width + 0.25 * least, least);
  const high = Math.max(box.height + 0.25 * least, least);
  return { left: box.left - (wide - box.width) / 2, top: box.top - (high - box.height) / 2, width: wide, height: high };
}
