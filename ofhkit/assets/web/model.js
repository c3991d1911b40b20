// The pipeline: the completion by the Gaussian prior, exactly and in float64; the enlargement by ONNX Runtime.
import * as ort from "./ort.mjs";

const CELLS = 256, SIZE = 3 * CELLS, LEAST = 1e-2, TINY = 1e-4;

/** Load what `ofhkit export --web` wrote. */
export async function load() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL("ort.wasm", import.meta.url).href };
  const [about, numbers, session] = await Promise.all([
    fetch("model.json").then((answer) => answer.json()),
    fetch("prior.bin").then((answer) => answer.arrayBuffer()),
    ort.InferenceSession.create("enlarge.onnx", { executionProviders: ["wasm"] }),
  ]);
  const values = new Float32Array(numbers), precision = new Float64Array(SIZE * SIZE);
  let at = SIZE;
  for (let i = 0; i < SIZE; i++)
    for (let j = 0; j <= i; j++) precision[i * SIZE + j] = precision[j * SIZE + i] = values[at++];
  return { about, session, precision, mean: values.slice(0, SIZE), cubic: values.slice(at) };
}

/** Lower Cholesky factor of the precision's rows and columns `at`. */
function factor(precision, at) {
  const n = at.length, L = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = precision[at[i] * SIZE + at[j]];
      for (let k = 0; k < j; k++) sum -= L[i * n + k] * L[j * n + k];
      L[i * n + j] = i === j ? Math.sqrt(sum) : sum / L[j * n + j];
    }
  return L;
}
const forward = (L, n, b) => {
  for (let i = 0; i < n; i++) { for (let k = 0; k < i; k++) b[i] -= L[i * n + k] * b[k]; b[i] /= L[i * n + i]; }
  return b;
};
const backward = (L, n, b) => {
  for (let i = n - 1; i >= 0; i--) { for (let k = i + 1; k < n; k++) b[i] -= L[k * n + i] * b[k]; b[i] /= L[i * n + i]; }
  return b;
};

/** The mean of what may lie in the hole, its standard deviations, how unlikely the face is; and draws of it. */
export function complete({ precision, mean, about }, lr, cells) {
  const at = [], away = new Float64Array(SIZE);
  for (let i = 0; i < SIZE; i++) if (cells[i % CELLS]) at.push(i); else away[i] = lr[i] - mean[i];
  const times = (i) => { let sum = 0; for (let j = 0; j < SIZE; j++) sum += precision[i * SIZE + j] * away[j]; return sum; };
  const n = at.length, L = factor(precision, at), found = backward(L, n, forward(L, n, Float64Array.from(at, times)));
  at.forEach((place, i) => { away[place] = -found[i]; });
  let unlikely = 0;
  for (let i = 0; i < SIZE; i++) unlikely += away[i] * times(i);
  unlikely = n < SIZE ? unlikely / (SIZE - n) : 1;
  const clamp = (v) => Math.min(1, Math.max(0, v)), completed = Float32Array.from(lr), deviation = new Float32Array(SIZE);
  at.forEach((place, i) => {
    completed[place] = clamp(mean[place] + away[place]);
    const unit = forward(L, n, Float64Array.from(at, (_, k) => Number(k === i)));
    deviation[place] = Math.sqrt(unit.reduce((sum, v) => sum + v * v, 0));
  });
  const draw = (normal) => {  // Student's distribution; ofhkit.models.uncertainty says why, and what `small` is
    const wide = (1.645 / 2.015) / Math.sqrt([1, 2, 3, 4, 5].reduce((sum) => sum + normal() ** 2, 0) / 5);
    const drawn = backward(L, n, Float64Array.from(at, () => normal() * wide)), other = Float32Array.from(completed);
    at.forEach((place, i) => {
      const least = Math.max(TINY, deviation[place]), [a, b, c] = about.small || [0, 1, 0];
      other[place] = clamp(completed[place] + drawn[i] * Math.exp(a + b * Math.log(least) + c * Math.log(Math.max(LEAST, unlikely))) / least);
    });
    return other;
  };
  return { completed, deviation, unlikely, draw };
}

/** Normal numbers that are the same every time. */
export function normals(seed) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** Enlarge a completed face: `sr` (3 x 128 x 128) and, where the model knows it, its standard deviation `std`. */
export async function enlarge({ session }, completed, cells, deviation, unlikely) {
  const tensor = (values, ...shape) => new ort.Tensor("float32", values, [1, ...shape]);
  const given = {
    completed: tensor(completed, 3, 16, 16), mask: tensor(Float32Array.from(cells), 1, 16, 16),
    deviation: tensor(deviation, 3, 16, 16), unlikely: tensor(Float32Array.of(unlikely)),
  };
  const found = await session.run(Object.fromEntries(session.inputNames.map((name) => [name, given[name]])));
  return { sr: found.sr.data, std: found.std?.data };
}
