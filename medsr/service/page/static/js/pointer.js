// Wheel, mouse and fingers on a pane.

const NOTCH = 40;
const FINGER_SLICE = 14;
const TAP = 6;

export function follow(pane, viewer) {
  const frame = pane.frame;
  const fingers = new Map();
  let turned = 0;
  let dragged = null;

  const plane = () => viewer.roles()[pane.name][0];

  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey) {
      viewer.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, plane(), pane.at(event));
      return;
    }
    turned += event.deltaMode === 0 ? event.deltaY : event.deltaY * NOTCH;
    const steps = Math.trunc(turned / NOTCH);
    if (steps) {
      turned -= steps * NOTCH;
      viewer.slice(-Math.sign(steps) * Math.min(3, Math.abs(steps)), plane());
    }
  }, { passive: false });

  frame.addEventListener("contextmenu", (event) => event.preventDefault());

  frame.addEventListener("pointerdown", (event) => {
    frame.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    dragged = { x: event.clientX, y: event.clientY, moved: 0, slices: 0, button: event.button, shift: event.shiftKey };
    if (event.pointerType === "mouse" && event.button === 0 && !event.shiftKey) viewer.pick(pane, event);
    if (event.button === 2 || event.button === 1) event.preventDefault();
  });

  frame.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before || !dragged) return;
    const now = [event.clientX, event.clientY];
    const [x, y] = [now[0] - before[0], now[1] - before[1]];
    dragged.moved += Math.abs(x) + Math.abs(y);
    if (fingers.size === 2) {
      pinch(event, before, now);
    } else if (dragged.button === 2) {
      viewer.level(y / 300, x / 200);
    } else if (dragged.button === 1 || dragged.shift) {
      viewer.pan(plane(), x / pane.scale, y / pane.scale);
    } else if (event.pointerType === "mouse") {
      viewer.pick(pane, event);
    } else {
      dragged.slices += y;
      const steps = Math.trunc(dragged.slices / FINGER_SLICE);
      if (steps) {
        dragged.slices -= steps * FINGER_SLICE;
        viewer.slice(-steps, plane());
      }
    }
    fingers.set(event.pointerId, now);
  });

  function pinch(event, before, now) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const spread = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]);
    const middle = { clientX: (now[0] + other[0]) / 2, clientY: (now[1] + other[1]) / 2 };
    viewer.zoom(spread(now) / Math.max(1, spread(before)), plane(), pane.at(middle));
    viewer.pan(plane(), (now[0] - before[0]) / 2 / pane.scale, (now[1] - before[1]) / 2 / pane.scale);
  }

  for (const kind of ["pointerup", "pointercancel"]) {
    frame.addEventListener(kind, (event) => {
      const tapped = event.pointerType !== "mouse" && fingers.size === 1 && dragged && dragged.moved < TAP;
      if (kind === "pointerup" && tapped) viewer.pick(pane, event);
      fingers.delete(event.pointerId);
      if (!fingers.size) dragged = null;
    });
  }
}
