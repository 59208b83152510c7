// A scan from the reader's disk to a job: raw bytes up, then the job's own events.

import { announce, call, csrf, problem } from "./api.js";
import { watch } from "./progress.js";

const UNITS = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]];

export class Upload {
  constructor() {
    const byId = (id) => document.getElementById(id);
    this.drop = byId("drop");
    this.field = byId("file");
    this.form = byId("options");
    this.task = byId("task");
    this.scale = byId("scale");
    this.modality = byId("modality");
    this.send = byId("send");
    this.chosen = byId("chosen");
    this.progress = byId("progress");
    this.stage = byId("stage");
    this.figure = byId("figure");
    this.gauge = byId("gauge");
    this.stop = byId("stop");
    this.open = byId("open");
    this.listen();
  }

  listen() {
    for (const kind of ["dragenter", "dragover"]) {
      this.drop.addEventListener(kind, (event) => {
        event.preventDefault();
        this.drop.classList.add("over");
      });
    }
    for (const kind of ["dragleave", "drop"]) {
      this.drop.addEventListener(kind, (event) => {
        event.preventDefault();
        this.drop.classList.remove("over");
      });
    }
    // A file that misses the zone must not replace the page.
    for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
    this.drop.addEventListener("drop", (event) => {
      const { files } = event.dataTransfer;
      if (files.length > 1) this.say("One file at a time: put a DICOM series into a zip first.");
      else if (files.length) this.choose(files[0]);
    });
    this.field.addEventListener("change", () => this.field.files.length && this.choose(this.field.files[0]));
    this.task.addEventListener("change", () => {
      document.getElementById("scale-row").hidden = !["superres", "through"].includes(this.task.value);
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.file && !this.busy) this.run();
    });
    this.stop.addEventListener("click", () => this.cancel());
  }

  choose(file) {
    if (this.busy) return;
    this.file = file;
    this.say(`${file.name}, ${size(file.size)}`);
    this.send.disabled = false;
    this.send.focus();
    announce(`${file.name} chosen`);
  }

  say(words) {
    this.chosen.textContent = words;
  }

  async run() {
    this.busy = true;
    this.send.disabled = true;
    this.open.hidden = true;
    this.progress.hidden = false;
    this.stop.hidden = false;
    this.tell("Uploading", 0);
    try {
      const input = await this.bytes();
      const answer = await call("POST", "/v1/jobs", {
        json: this.request(input),
        headers: { "Idempotency-Key": token() },
      });
      this.follow((await answer.json()).id);
    } catch (fault) {
      this.failed(fault.message);
    }
  }

  request(input) {
    const task = this.task.value;
    const factor = Number(this.scale.value);
    const asked = { input, task: task === "through" ? "superres" : task, modality: this.modality.value };
    if (task === "superres") asked.scale = factor;
    if (task === "through") asked.through = factor;
    return asked;
  }

  // XMLHttpRequest, since fetch tells nothing of how much of a body has gone.
  bytes() {
    return new Promise((resolve, reject) => {
      const line = new XMLHttpRequest();
      this.line = line;
      line.open("POST", "/v1/inputs");
      line.setRequestHeader("X-CSRF-Token", csrf());
      line.setRequestHeader("Content-Type", kind(this.file.name));
      line.responseType = "json";
      line.upload.onprogress = (event) => {
        if (event.lengthComputable) this.tell("Uploading", event.loaded / event.total, size(event.loaded));
      };
      line.onload = () => {
        const told = line.response || {};
        if (line.status === 200 || line.status === 201) resolve(told.sha256);
        else reject(problem(line.status, told));
      };
      line.onerror = () => reject(problem(0, { title: "The server does not answer" }));
      line.onabort = () => reject(problem(0, { title: "Stopped" }));
      line.send(this.file);
    });
  }

  follow(job) {
    this.job = job;
    this.line = null;
    this.tell("Queued", 0);
    this.open.href = `/review/study/${job}`;
    this.end = watch(job, {
      onprogress: ({ stage, fraction }) => this.tell(stage, fraction),
      onend: (state) => this.ended(state),
    });
  }

  ended(state) {
    this.tell(words(state), 1);
    this.stop.hidden = true;
    this.open.hidden = false;
    this.open.focus();
    this.free();
    this.done?.();
  }

  async cancel() {
    if (this.line) {
      this.line.abort();
    } else if (this.job) {
      await call("DELETE", `/v1/jobs/${this.job}`).catch((fault) => this.failed(fault.message));
    }
  }

  failed(message) {
    this.tell(message, 0);
    this.stop.hidden = true;
    announce(message);
    this.free();
  }

  free() {
    this.busy = false;
    this.job = null;
    this.send.disabled = !this.file;
    this.field.value = "";
  }

  tell(stage, fraction, figure = "") {
    if (stage) this.stage.textContent = words(stage);
    if (fraction !== null) {
      this.gauge.value = fraction;
      this.figure.textContent = figure || `${Math.round(100 * fraction)} %`;
    }
  }
}

const STATES = {
  review: "Held for review", released: "Released", rejected: "Rejected", blocked: "Blocked", failed: "Failed",
  cancelled: "Cancelled", queued: "Queued", running: "Running", judging: "Judging", read: "Reading the scan",
  restore: "Restoring", judge: "Judging", publish: "Publishing",
};

export function words(state) {
  return STATES[state] || state;
}

function kind(name) {
  const lower = name.toLowerCase();
  if (lower.endsWith(".zip")) return "application/zip";
  if (lower.endsWith(".nii") || lower.endsWith(".nii.gz")) return "application/octet-stream";
  return "application/dicom";
}

function size(bytes) {
  const [unit, step] = UNITS.find(([, least]) => bytes >= least) || ["bytes", 1];
  return `${Number((bytes / step).toPrecision(3))} ${unit}`;
}

function token() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
