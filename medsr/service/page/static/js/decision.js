// The decision: nothing is chosen before, and Enter alone decides nothing.

import { announce, call } from "./api.js";

const WORDS = {
  released: ["Approve", "Approve and release",
    "The result becomes readable to whoever asked for it, with its labels unchanged. You say that you looked at it."],
  rejected: ["Reject", "Reject", "The restored image is refused and cannot be released later. The report is kept."],
  withdrawn: ["Withdraw", "Withdraw", "The released result is taken back and can no longer be downloaded."],
};
const LEAST_REASON = 3;

export class Decision {
  constructor(job, hash, etag) {
    this.job = job;
    this.hash = hash;
    this.etag = etag;
    this.dialog = document.getElementById("decide");
    this.confirm = document.getElementById("decide-confirm");
    this.reason = document.getElementById("reason");
    this.fault = document.getElementById("decide-fault");
    this.radios = [...this.dialog.querySelectorAll('input[name="compared"]')];
    document.getElementById("decide-cancel").addEventListener("click", () => this.dialog.close());
    this.confirm.addEventListener("click", () => this.send());
    this.dialog.addEventListener("keydown", (event) => {
      const typing = event.target === this.reason || event.target.id === "decide-cancel";
      if (event.key === "Enter" && !typing) event.preventDefault();
    });
    this.dialog.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    for (const field of [...this.radios, this.reason]) field.addEventListener("input", () => this.check());
  }

  open(verdict) {
    this.verdict = verdict;
    const [title, button, words] = WORDS[verdict];
    document.getElementById("decide-title").textContent = title;
    document.getElementById("decide-words").textContent = words;
    this.confirm.textContent = button;
    for (const radio of this.radios) radio.checked = false;
    this.reason.value = "";
    this.fault.textContent = "";
    this.check();
    this.dialog.showModal();
    this.radios[0].focus();
  }

  compared() {
    return this.radios.find((radio) => radio.checked)?.value || "";
  }

  missing() {
    if (!this.compared()) return "Say whether the original was compared.";
    if (this.verdict === "released" && this.compared() === "no") return "Compare the original with the restored image first.";
    if (this.reason.value.trim().length < LEAST_REASON) return "Give a reason.";
    return "";
  }

  check() {
    this.confirm.setAttribute("aria-disabled", this.missing() ? "true" : "false");
    this.fault.textContent = this.verdict === "released" && this.compared() === "no" ? this.missing() : "";
  }

  async send() {
    const missing = this.missing();
    this.fault.textContent = missing;
    if (missing || this.sending) return;
    this.sending = true;
    const typed = this.reason.value.trim().replace(/\s+/g, " ");
    const reason = `${typed} [original compared: ${this.compared()}]`;
    try {
      await call("POST", `/v1/jobs/${encodeURIComponent(this.job)}/decision`, {
        json: { verdict: this.verdict, reason, output_sha256: this.hash },
        headers: { "If-Match": this.etag },
      });
      announce("The decision was recorded.");
      this.dialog.close();
      location.reload();
    } catch (refused) {
      this.fault.textContent = refused.status === 409 || refused.status === 412
        ? `${refused.message} Close this and load the page again: somebody decided before you.`
        : refused.message;
    } finally {
      this.sending = false;
    }
  }
}
