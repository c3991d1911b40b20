// From a picture to a 128 x 128 crop, to 16 x 16 pixels, and back into the picture. Colours are Float32Array (3, H, W).
const SIDE = 128;

/** A canvas of a size, and its pen. */
export function sheet(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  return [canvas, canvas.getContext("2d", { willReadFrequently: true })];
}

/** Decode a file; `hidden` where it is transparent. */
export async function read(file, most = 3000) {
  let image;
  try { image = await createImageBitmap(file, { premultiplyAlpha: "none" }); } catch { throw new Error(`${file.name}: not a picture that this browser can read`); }
  const scale = Math.min(1, most / Math.max(image.width, image.height));
  const [canvas, pen] = sheet(Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)));
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** Crop with a matrix [a, b, c, d, e, f] of canvas (picture -> crop); colours, and what is transparent. */
export function crop(picture, matrix, side = SIDE) {
  const [canvas, pen] = sheet(side, side);
  pen.imageSmoothingQuality = "high";
  pen.setTransform(...matrix);
  pen.drawImage(picture, 0, 0);
  return split(pen.getImageData(0, 0, side, side));
}
export function split({ data, width, height }) {
  const size = width * height, rgb = new Float32Array(3 * size), hidden = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) rgb[c * size + i] = data[4 * i + c] / 255;
    hidden[i] = Number(255 - data[4 * i + 3] >= 32);
  }
  return { rgb, hidden };
}

/** Colours on a canvas; `alpha` (H, W) in 0..1. */
export function paint(rgb, side, canvas = sheet(side, side)[0], alpha = null) {
  const size = side * side, image = new ImageData(side, side);
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * rgb[c * size + i]);
    image.data[4 * i + 3] = alpha ? Math.round(255 * alpha[i]) : 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Fill hidden pixels smoothly from those round them: layer by layer, then relaxed. */
export function diffuse(values, hidden, rounds = 30) {
  const out = Float32Array.from(values), size = SIDE * SIDE, left = [], layer = Uint8Array.from(hidden);
  for (let i = 0; i < size; i++) if (hidden[i]) left.push(i);
  const near = (i) => [i % SIDE ? i - 1 : -1, (i + 1) % SIDE ? i + 1 : -1, i - SIDE, i + SIDE].filter((j) => j >= 0 && j < size);
  const around = Object.fromEntries(left.map((i) => [i, near(i)]));
  const mean = (i, of) => {
    for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (const j of of) sum += out[c * size + j];
      out[c * size + i] = sum / of.length;
    }
  };
  for (let todo = left; todo.length;) {
    const rim = todo.filter((i) => around[i].some((j) => !layer[j]));
    if (!rim.length) break;
    for (const i of rim) mean(i, around[i].filter((j) => !layer[j]));
    for (const i of rim) layer[i] = 0;
    todo = todo.filter((i) => layer[i]);
  }
  for (let k = 0; k < rounds; k++) for (const i of k % 2 ? left : left.slice().reverse()) mean(i, around[i]);
  return out;
}

/** Shrink to 16 x 16 with the filter that the networks were trained with; `cubic` is its matrix (16, 128). */
export function shrink(rgb, cubic) {
  const out = new Float32Array(3 * 256), rows = new Float64Array(16 * SIDE);
  for (let c = 0; c < 3; c++) {
    rows.fill(0);
    for (let y = 0; y < 16; y++)
      for (let v = 0; v < SIDE; v++) {
        const weight = cubic[y * SIDE + v];
        if (weight) for (let x = 0; x < SIDE; x++) rows[y * SIDE + x] += weight * rgb[(c * SIDE + v) * SIDE + x];
      }
    for (let y = 0; y < 16; y++)
      for (let x = 0; x < 16; x++) {
        let sum = 0;
        for (let u = 0; u < SIDE; u++) sum += cubic[x * SIDE + u] * rows[y * SIDE + u];
        out[c * 256 + y * 16 + x] = Math.min(1, Math.max(0, sum));
      }
  }
  return out;
}

/** The similarity [a, b, c, d, e, f] that takes five points to the template's, in least squares. */
export function align(points, template) {
  const mean = (list, k) => list.reduce((sum, p) => sum + p[k], 0) / list.length;
  const [px, py, tx, ty] = [mean(points, 0), mean(points, 1), mean(template, 0) + 0.5, mean(template, 1) + 0.5];
  let dot = 0, cross = 0, norm = 0;
  points.forEach(([x, y], i) => {
    const [u, v, s, t] = [x - px, y - py, template[i][0] + 0.5 - tx, template[i][1] + 0.5 - ty];
    dot += u * s + v * t; cross += u * t - v * s; norm += u * u + v * v;
  });
  const [a, b] = [dot / norm, cross / norm];
  return [a, b, -b, a, tx - a * px + b * py, ty - b * px - a * py];
}

/** The picture with its hole filled from the result, which is first corrected so that no seam is left. */
export function pasteBack(picture, matrix, seen, sr, hidden) {
  const step = diffuse(seen.map((v, i) => v - sr[i]), hidden), size = SIDE * SIDE, alpha = new Float32Array(size);
  hidden.forEach((on, i) => { alpha[i] = on; });
  const filled = sr.map((v, i) => Math.min(1, Math.max(0, v + step[i])));
  const [canvas, pen] = sheet(picture.width, picture.height), [a, b, c, d, e, f] = matrix, det = a * d - b * c;
  pen.drawImage(picture, 0, 0);
  pen.setTransform(d / det, -b / det, -c / det, a / det, (c * f - d * e) / det, (b * e - a * f) / det);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(paint(filled, SIDE, undefined, alpha), 0, 0);
  return canvas;
}

/** A canvas as a PNG file that says what it is. */
export async function marked(canvas, text) {
  const bytes = new Uint8Array(await (await new Promise((done) => canvas.toBlob(done))).arrayBuffer());
  const chunk = new TextEncoder().encode(`tEXtComment\0${text}`), out = new Uint8Array(bytes.length + chunk.length + 8);
  let crc = ~0;
  for (const byte of chunk) { crc ^= byte; for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0); }
  out.set(bytes.subarray(0, 33));  // signature and header
  new DataView(out.buffer).setUint32(33, chunk.length - 4);
  out.set(chunk, 37);
  new DataView(out.buffer).setUint32(37 + chunk.length, ~crc);
  out.set(bytes.subarray(33), 41 + chunk.length);
  return new Blob([out], { type: "image/png" });
}
