// What the page shows: a picture is opened, a hole is painted, and the face comes out, after every stroke.
import { cellsOf, makePainter, unpackMask, watchSliders } from "./widgets.js";
import { complete, enlarge, load, normals } from "./model.js";
import { align, crop, diffuse, marked, paint, pasteBack, read, sheet, shrink, split } from "./picture.js";

const SIDE = 128, ANSWERS = 4, VIEW = 512, get = (id) => document.getElementById(id);
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], FULL = 0.15;
let opened = null, face = null, running = false, again = false;

function say(text, bad = false) {
  get("notes").textContent = text;
  get("notes").classList.toggle("bad", bad);
}

/** Try it; a mistake is one sentence, and the picture and its paint stay. */
const trying = (act) => async (...given) => { try { await act(...given); } catch (error) { say(error.message, true); } };

const painter = makePainter(get("painter"), () => refresh(), trying((points) => {
  const at = points.map(([x, y]) => [x * opened.picture.width, y * opened.picture.height]);
  const matrix = align(at, model.about.template);
  if (!(Math.hypot(matrix[0], matrix[1]) < 8)) throw new Error("these five points make no face; click them anew");
  cutOut(matrix, "cut out by your five points; the result goes back into the photograph");
}));

/** A picture comes in: a small face, a square crop, or a photograph in which five points are asked for. */
async function open(file, name = file.name || "picture", hole = null) {
  const picture = await read(file), { width, height } = picture;
  if (Math.min(width, height) < 16) throw new Error(`${name}: ${width} × ${height} pixels are too few, a face needs 16 × 16`);
  opened = { picture, name: name.replace(/\.[^.]*$/, "") };
  const scale = SIDE / width;
  if (width === height) cutOut([scale, 0, 0, scale, 0, 0], width === 16 ? "a small face, taken as it is" : "taken as one face; if it is a photograph, find the face by five points", hole);
  else askForPoints();
}

function askForPoints() {
  face = null;
  painter.show(opened.picture.toDataURL(), new Uint8Array(SIDE * SIDE), true);
  say("A photograph: show where the face is.");
}

function cutOut(matrix, note, hole = null) {
  const { picture } = opened, tiny = picture.width === 16 && picture.height === 16, square = matrix[1] === 0 && matrix[4] === 0 && matrix[5] === 0;
  const [view, pen] = sheet(tiny ? 16 : VIEW, tiny ? 16 : VIEW);
  pen.imageSmoothingQuality = "high";
  pen.setTransform(...(tiny ? [1, 0, 0, 1, 0, 0] : matrix.map((v) => (v * VIEW) / SIDE)));
  pen.drawImage(picture, 0, 0);
  const seen = tiny ? crop(picture, [1, 0, 0, 1, 0, 0], 16) : crop(picture, matrix);
  const hidden = hole || (tiny ? Uint8Array.from({ length: SIDE * SIDE }, (_, i) => seen.hidden[((i / SIDE / 8) | 0) * 16 + (((i % SIDE) / 8) | 0)]) : seen.hidden);
  face = { matrix, tiny, photo: !square, rgb: seen.rgb, view };
  painter.show(view.toDataURL(), hidden);
  say(note);
  refresh(hidden);
}

/** The face from what is painted: input, completion, result, deviation, other answers; and milliseconds. */
async function restore(mask) {
  const start = performance.now(), cells = cellsOf(mask);
  if (cells.every(Boolean)) throw new Error("everything is hidden: there is nothing to go by; erase some of the hole");
  const seen = face.tiny ? face.rgb : diffuse(face.rgb, mask), lr = face.tiny ? Float32Array.from(seen) : shrink(seen, model.cubic);
  lr.forEach((_, i) => { if (cells[i % 256]) lr[i] = 0; });
  const found = complete(model, lr, cells), result = await enlarge(model, found.completed, cells, found.deviation, found.unlikely);
  return { ...found, ...result, lr, cells, seen, milliseconds: performance.now() - start };
}

async function refresh(mask = painter.mask) {
  if (!model || !face || mask.length !== SIDE * SIDE) return;
  if (running) { again = true; return; }
  running = true;
  get("result").setAttribute("aria-busy", "true");
  try {
    const shown = face, done = await restore(mask);
    show(shown, done, mask);
    await others(done);
  } catch (error) { say(error.message, true); }
  running = false;
  if (again) { again = false; refresh(); } else get("result").setAttribute("aria-busy", "false");
}

function show(shown, done, mask) {
  paint(done.lr, 16, get("small"));
  paint(done.completed, 16, get("completed"));
  const large = paint(done.sr, SIDE), photo = shown.photo && mask.some(Boolean);
  const after = photo ? pasteBack(opened.picture, shown.matrix, done.seen, done.sr, mask) : large;
  get("before").src = (photo ? opened.picture : get("small")).toDataURL();
  get("after").src = after.toDataURL();
  get("before").classList.toggle("pixels", !photo);
  get("before").alt = photo ? "The photograph before" : "What goes in, 16 by 16 pixels";
  get("after").alt = photo ? "The photograph with its hole filled" : "The restored face";
  document.querySelector(".versus").style.setProperty("--shape", `${after.width} / ${after.height}`);
  get("save-photo").hidden = !photo;
  Object.assign(shown, { large, photograph: after, sr: done.sr });
  get("unsure").parentElement.hidden = !done.std;
  if (done.std) paint(colours(done.std), SIDE, get("unsure"));
  get("time").textContent = `a face in ${Math.round(done.milliseconds)} ms`;
  get("time").dataset.milliseconds = done.milliseconds;
}

function colours(std) {
  const out = new Float32Array(3 * std.length);
  std.forEach((value, i) => {
    const at = Math.min(3.999, (4 * value) / FULL), k = Math.floor(at);
    for (let c = 0; c < 3; c++) out[c * std.length + i] = (VIRIDIS[k][c] + (at - k) * (VIRIDIS[k + 1][c] - VIRIDIS[k][c])) / 255;
  });
  return out;
}

async function others({ cells, deviation, unlikely, draw }) {
  const place = get("answers"), any = cells.some(Boolean), normal = normals(1);
  place.hidden = place.previousElementSibling.hidden = !any;
  for (let k = 0; any && k < ANSWERS && !again; k++) {
    const { sr } = await enlarge(model, draw(normal), cells, deviation, unlikely);
    const canvas = place.children[k]?.firstChild || place.appendChild(document.createElement("figure")).appendChild(sheet(SIDE, SIDE)[0]);
    paint(sr, SIDE, canvas);
  }
}

/** A mask file hides where it is opaque, if parts of it are transparent, else where it is bright. */
async function addMask(file) {
  if (!face) throw new Error("open a face first; then add its mask");
  const picture = await read(file), { width, height } = picture, whole = opened.picture;
  const fits = face.photo && Math.abs((width * whole.height) / (height * whole.width) - 1) < 0.02;
  const [x, y] = fits ? [whole.width / width, whole.height / height] : [SIDE / width, SIDE / height];
  const [a, b, c, d, e, f] = fits ? face.matrix : [1, 0, 0, 1, 0, 0];
  const clear = split(picture.getContext("2d").getImageData(0, 0, width, height)).hidden.some(Boolean);
  const { rgb, hidden } = crop(picture, [a * x, b * x, c * y, d * y, e, f]), size = SIDE * SIDE;
  const mask = hidden.map((gone, i) => Number(!gone && (clear || Math.max(rgb[i], rgb[size + i], rgb[2 * size + i]) >= 1 / 8)));
  if (!mask.some(Boolean)) throw new Error(`${file.name}: nothing is bright in it where the face is; white hides`);
  painter.add(mask);
  say(`${file.name} was added to the hole`);
}

async function save(canvas, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await marked(canvas, model.about.notice)), download: `${name}.png` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const chosen = (id, act) => get(id).addEventListener("change", trying(async (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) await act(file);
}));
chosen("file", open);
chosen("mask", addMask);
get("points").addEventListener("click", () => { if (opened && !(face && face.tiny)) askForPoints(); });
get("save").addEventListener("click", trying(() => face && save(face.large, `${opened.name}_face`)));
get("save-photo").addEventListener("click", trying(() => save(face.photograph, opened.name)));
for (const name of ["dragenter", "dragover", "dragleave", "drop"])
  document.addEventListener(name, trying(async (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", name === "dragenter" || name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) await open(event.dataTransfer.files[0]);
  }));
watchSliders(document);

let model = null;
trying(async () => {
  const loaded = await load();
  const { about } = loaded;
  const example = async ({ file, title, hole }) => open(await (await fetch(file)).blob(), title, unpackMask(hole));
  for (const one of about.examples) {
    const button = get("examples").appendChild(document.createElement("button"));
    Object.assign(button, { type: "button", title: one.title });
    button.appendChild(Object.assign(new Image(), { src: one.file, alt: one.title }));
    button.addEventListener("click", trying(() => example(one)));
  }
  get("about").textContent = `${about.name} (${about.method}; ${about.licence}). ${about.notice}. Made with ofhkit ${about.version}.`;
  model = loaded;
  await example(about.examples[0]);
  document.documentElement.dataset.ready = performance.now();
})();
if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js");
window.ofhkit = { open, painter, restore: (mask) => restore(mask), get face() { return face; } };  // for scripts and tests
