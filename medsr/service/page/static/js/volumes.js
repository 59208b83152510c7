// Linked volumes by NiiVue, where the browser has WebGL2. The pictures of the server are there without it.

import { complain } from "./api.js";

const BOX_MARGIN = 24;
let held = null;

export async function toggle(viewer, main) {
  const panel = document.getElementById("volumes");
  const note = document.getElementById("volumes-note");
  const button = document.getElementById("volumes-button");
  const open = panel.hidden;
  panel.hidden = !open;
  button.setAttribute("aria-pressed", String(open));
  if (!open) {
    button.focus();
    return;
  }
  if (!supported()) {
    note.textContent = "This browser has no WebGL2: the pictures by the server show the same volume, slice by slice.";
    return;
  }
  try {
    held ??= await load(viewer, main, note);
    held.follow(viewer);
  } catch (fault) {
    held = null;
    note.textContent = "The volumes could not be shown. The pictures by the server are complete without them.";
    complain(fault.message || String(fault));
  }
}

function supported() {
  const probe = document.createElement("canvas");
  return Boolean(probe.getContext("webgl2"));
}

function script(source) {
  return new Promise((resolve, reject) => {
    const made = document.createElement("script");
    made.src = source;
    made.addEventListener("load", resolve);
    made.addEventListener("error", () => reject(new Error("The viewer could not be loaded.")));
    document.head.append(made);
  });
}

function addresses(viewer, main) {
  const base = `/v1/jobs/${encodeURIComponent(main.dataset.job)}/volumes/`;
  const query = new URLSearchParams({ v: main.dataset.version });
  if (viewer.scene.halve) query.set("half", "1");
  const of = (name, more = {}) => `${base}${name}.nii.gz?${new URLSearchParams([...query, ...Object.entries(more)])}`;
  const over = viewer.scene.images[viewer.map].held ? viewer.map : "difference";
  const chosen = viewer.scene.findings.find((item) => item.number === viewer.chosen);
  const whole = viewer.scene.halve && chosen ? around(chosen.box, viewer.scene.shape) : null;
  return { input: of("input"), restored: of("restored"), over: of(over), overName: over, whole, of };
}

// The box of a finding at full resolution, where the volume itself comes at half.
function around(box, shape) {
  return shape.flatMap((size, axis) => [Math.max(0, box[0][axis] - BOX_MARGIN), Math.min(size, box[1][axis] + BOX_MARGIN)]);
}

async function load(viewer, main, note) {
  note.textContent = "Loading the volumes…";
  const started = performance.now();
  if (!window.niivue) await script(`${main.dataset.assets}/vendor/niivue/niivue.umd.js`);
  const { Niivue, DRAG_MODE } = window.niivue;
  const options = {
    backColor: [0.055, 0.055, 0.063, 1],
    crosshairColor: [0.62, 0.94, 0.78, 0.75],
    crosshairWidth: 0.6,
    show3Dcrosshair: false,
    isColorbar: false,
    isRadiologicalConvention: true,
    isOrientationTextVisible: true,
    dragMode: DRAG_MODE.contrast,
    loadingText: "",
    isHighResolutionCapable: false,
    logLevel: "error",
    multiplanarForceRender: false,
  };
  const [low, high] = viewer.window;
  const address = addresses(viewer, main);
  const grey = { colormap: "gray", opacity: 1, cal_min: low, cal_max: high };
  const limit = viewer.scene.limits[address.overName] || 1;
  const signed = address.overName === "difference";
  const sides = [];
  for (const side of ["input", "restored"]) {
    const shown = new Niivue(options);
    await shown.attachTo(`volume-${side}`);
    const volumes = [{ url: address[side], name: `${side}.nii.gz`, ...grey }];
    if (side === "restored") {
      volumes.push({
        url: address.over, name: "over.nii.gz", colormap: signed ? "warm" : "inferno", opacity: 0,
        cal_min: limit * 0.15, cal_max: limit,
        ...(signed ? { colormapNegative: "winter", cal_minNeg: -limit, cal_maxNeg: -limit * 0.15 } : {}),
      });
      if (address.whole) {
        const box = address.of("restored", { half: "0", box: address.whole.join(",") });
        volumes.push({ url: box, name: "box.nii.gz", ...grey });
      }
    }
    await shown.loadVolumes(volumes);
    shown.setInterpolation(true);
    shown.setSliceType(shown.sliceTypeMultiplanar);
    sides.push(shown);
  }
  sides[0].broadcastTo(sides[1], { "2d": true, "3d": true });
  sides[1].broadcastTo(sides[0], { "2d": true, "3d": true });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const words = [
    `Linked volumes, ready in ${seconds} s. Click moves the point in both; wheel: slice; right drag: window.`,
    viewer.scene.halve ? "Shown at half resolution, the chosen finding's surroundings whole." : "",
  ];
  note.textContent = words.filter(Boolean).join(" ");
  document.getElementById("volumes").dataset.ready = "1";
  return linked(sides);
}

function linked(sides) {
  let opacity = 0;
  return {
    sides,
    // Point, window and overlay as the pictures have them.
    follow(viewer) {
      for (const shown of sides) {
        const [volume] = shown.volumes;
        [volume.cal_min, volume.cal_max] = viewer.window;
        shown.scene.crosshairPos = shown.mm2frac(millimetres(viewer.scene.affine, viewer.point));
        shown.updateGLVolume();
      }
      opacity = viewer.opacity ? 0.7 : 0;
      if (sides[1].volumes.length > 1) sides[1].setOpacity(1, opacity);
    },
  };
}

function millimetres(affine, point) {
  return affine.slice(0, 3).map(([a, b, c, d]) => a * point[0] + b * point[1] + c * point[2] + d);
}

