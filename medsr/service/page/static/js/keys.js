// Single-letter keys. They never act while something is typed, in a dialog, or when the reader turned them off.

const KEPT = "medsr-keys-off";

export function keysOn() {
  try {
    return localStorage.getItem(KEPT) !== "1";
  } catch {
    return true;
  }
}

export function turnKeys(on) {
  try {
    localStorage.setItem(KEPT, on ? "0" : "1");
  } catch {
    // A browser that keeps nothing asks again on the next page.
  }
}

export function listen(deeds) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const at = event.target instanceof Element ? event.target : document.body;
    if (at.closest("input, textarea, select, [contenteditable]")) return;
    const arrows = event.key === "ArrowUp" || event.key === "ArrowDown";
    if (arrows && at.closest(".facts, .side-list, .scroll")) return;
    const deed = deeds[event.key];
    if (!deed || (!keysOn() && event.key !== "?" && !arrows)) return;
    event.preventDefault();
    deed(event);
  });
}
