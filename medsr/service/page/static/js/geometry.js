// Voxels of the restored grid and places on a turned slice, in mm from its upper left corner.

export function placeOf(plane, point) {
  return [
    (along(point[plane.columnAxis], plane.columns, plane.columnsFlipped) + 0.5) * plane.pixelMm[1],
    (along(point[plane.rowAxis], plane.rows, plane.rowsFlipped) + 0.5) * plane.pixelMm[0],
  ];
}

export function pointAt(plane, point, x, y) {
  const moved = [...point];
  moved[plane.columnAxis] = along(step(x / plane.pixelMm[1], plane.columns), plane.columns, plane.columnsFlipped);
  moved[plane.rowAxis] = along(step(y / plane.pixelMm[0], plane.rows), plane.rows, plane.rowsFlipped);
  return moved;
}

export function rectangleOf(plane, box) {
  const [left, width] = span(box, plane.columnAxis, plane.columns, plane.columnsFlipped, plane.pixelMm[1]);
  const [top, height] = span(box, plane.rowAxis, plane.rows, plane.rowsFlipped, plane.pixelMm[0]);
  return { left, top, width, height };
}

export function sizeMm(plane) {
  return [plane.columns * plane.pixelMm[1], plane.rows * plane.pixelMm[0]];
}

export function placeWords(affine, point) {
  const letters = [["R", "L"], ["A", "P"], ["S", "I"]];
  return letters.map(([positive, negative], row) => {
    const [a, b, c, d] = affine[row];
    const value = Math.round(a * point[0] + b * point[1] + c * point[2] + d);
    return `${value >= 0 ? positive : negative} ${Math.abs(value)}`;
  }).join(", ") + " mm";
}

export function middleOf(box) {
  return box[0].map((low, axis) => Math.floor((low + box[1][axis] - 1) / 2));
}

function along(index, count, flipped) {
  return flipped ? count - 1 - index : index;
}

function step(place, count) {
  return Math.min(count - 1, Math.max(0, Math.floor(place)));
}

function span(box, axis, count, flipped, mm) {
  const [low, high] = [box[0][axis], box[1][axis]];
  return [(flipped ? count - high : low) * mm, (high - low) * mm];
}
