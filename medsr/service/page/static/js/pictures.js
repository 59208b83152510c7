// Pictures from the server, kept in memory only: the answers say no-store, since they show a patient.

import { Problem, problemOf } from "./api.js";

const MOST = 240;

export class Pictures {
  constructor(job, version) {
    this.base = `/v1/jobs/${encodeURIComponent(job)}/preview/`;
    this.version = version;
    this.kept = new Map();
  }

  address(image, plane, index, window) {
    const query = new URLSearchParams({ image, at: String(index), v: this.version });
    if (window) query.set("window", window.map((value) => value.toPrecision(6)).join(","));
    return `${this.base}${plane}.png?${query}`;
  }

  // A promise of a blob: address; asked again while it is on its way, the same promise.
  get(image, plane, index, window) {
    const address = this.address(image, plane, index, window);
    const found = this.kept.get(address);
    if (found) {
      this.kept.delete(address);
      this.kept.set(address, found);
      return found;
    }
    const wanted = this.load(address).catch((fault) => {
      this.kept.delete(address);
      throw fault;
    });
    this.kept.set(address, wanted);
    this.shrink();
    return wanted;
  }

  async load(address) {
    let answer;
    try {
      answer = await fetch(address, { credentials: "same-origin", cache: "no-store" });
    } catch {
      throw new Problem(0, "offline", "The server does not answer.");
    }
    if (!answer.ok) throw await problemOf(answer);
    return URL.createObjectURL(await answer.blob());
  }

  shrink() {
    for (const [address, promise] of this.kept) {
      if (this.kept.size <= MOST) return;
      this.kept.delete(address);
      // Later than the picture is decoded, since an image that is being shown must not lose its source.
      promise.then((blob) => setTimeout(() => URL.revokeObjectURL(blob), 4000), () => {});
    }
  }
}
