// A job's progress, as the server tells it; the browser asks again by itself when the line breaks.

import { announce } from "./api.js";

const FINAL = ["released", "review", "rejected", "blocked", "failed", "cancelled", "withdrawn", "superseded", "purged"];

export function watch(job, { onprogress, onend }) {
  const source = new EventSource(`/v1/jobs/${encodeURIComponent(job)}/events`);
  let last = "";
  const take = (kind) => (event) => {
    let told = {};
    try {
      told = JSON.parse(event.data).data || {};
    } catch {
      return;
    }
    const state = told.state || (FINAL.includes(kind) ? kind : "");
    const stage = told.stage || state || (kind === "queue" ? "queued" : last);
    if (stage && stage !== last) {
      last = stage;
      announce(`Job: ${stage}`);
    }
    onprogress({ stage, fraction: typeof told.fraction === "number" ? told.fraction : null, told });
    if (FINAL.includes(state)) {
      source.close();
      onend(state);
    }
  };
  for (const kind of ["progress", "state", "finding", "queue"]) source.addEventListener(kind, take(kind));
  return () => source.close();
}
