// What both pages share: a painter of holes over a face (or of five points on a photograph), and before/after sliders.
const SIDE = 128, CELLS = 16, BLOCK = SIDE / CELLS, SHARE = 8, MOST = 63;  // a cell of 64 pixels is hidden from 8 on
const ASKED = ["the eye on the left", "the eye on the right", "the tip of the nose", "the left corner of the mouth",
  "the right corner of the mouth"];

/** The cells (256 numbers 0 or 1) that a mask of 128 x 128 pixels hides. */
function cellsOf(mask) {
  const counts = new Uint8Array(CELLS * CELLS);
  mask.forEach((on, i) => { counts[((i / SIDE / BLOCK) | 0) * CELLS + (((i % SIDE) / BLOCK) | 0)] += on; });
  return counts.map((count) => Number(count >= SHARE));
}

/** A mask as 4,096 hexadecimal digits, eight pixels a byte; and back. */
function packMask(mask) {
  let text = "";
  for (let i = 0; i < mask.length; i += 4)
    text += (mask[i] * 8 + mask[i + 1] * 4 + mask[i + 2] * 2 + mask[i + 3]).toString(16);
  return text;
}
function unpackMask(text) {
  const mask = new Uint8Array(SIDE * SIDE);
  [...text].forEach((digit, i) => { for (let k = 0; k < 4; k++) mask[4 * i + k] = (parseInt(digit, 16) >> (3 - k)) & 1; });
  return mask;
}

/** Build a painter in `root`; `painted(mask)` is called after each stroke, `pointed(points)` with five points in 0..1. */
function makePainter(root, painted, pointed) {
  root.innerHTML = `<canvas width="512" height="512" tabindex="0" role="application"
    aria-label="The face. Paint what is hidden: with the arrow keys move the brush, with space paint, with Z undo."></canvas>
  <div class="tools">
    <span class="group"><button type="button" data-do="paint" aria-pressed="true">Paint</button><button type="button"
      data-do="erase" aria-pressed="false">Erase</button></span>
    <label>Brush <input type="range" min="3" max="40" value="14"></label>
    <span class="group"><button type="button" data-do="undo">Undo</button><button type="button"
      data-do="random">Random</button><button type="button" data-do="clear">Clear</button></span>
  </div><p class="count" role="status"></p>`;
  const canvas = root.querySelector("canvas"), pen = canvas.getContext("2d"), brush = root.querySelector("input");
  const layer = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const state = { image: null, mask: new Uint8Array(SIDE * SIDE), past: [], on: 1, at: [64, 64], drawing: false, points: null };
  const area = () => {  // where the picture lies on the canvas
    const { naturalWidth: w, naturalHeight: h } = state.image || { naturalWidth: 1, naturalHeight: 1 };
    const scale = canvas.width / Math.max(w, h);
    return [(canvas.width - w * scale) / 2, (canvas.width - h * scale) / 2, w * scale, h * scale];
  };

  function outline() {
    const cells = cellsOf(state.mask), side = canvas.width / CELLS;
    const at = (x, y) => x >= 0 && y >= 0 && x < CELLS && y < CELLS && cells[y * CELLS + x] === 1;
    pen.strokeStyle = "#fb923c";
    pen.lineWidth = 3;
    pen.beginPath();
    for (let y = 0; y <= CELLS; y++)
      for (let x = 0; x <= CELLS; x++) {
        if (at(x, y) !== at(x, y - 1)) { pen.moveTo(x * side, y * side); pen.lineTo((x + 1) * side, y * side); }
        if (at(x, y) !== at(x - 1, y)) { pen.moveTo(x * side, y * side); pen.lineTo(x * side, (y + 1) * side); }
      }
    pen.stroke();
    return cells.reduce((sum, on) => sum + on, 0);
  }

  function draw() {
    const size = canvas.width, count = root.querySelector(".count");
    pen.fillStyle = "#27272a";
    pen.fillRect(0, 0, size, size);
    if (state.image) {
      pen.imageSmoothingEnabled = state.image.naturalWidth > CELLS;
      pen.imageSmoothingQuality = "high";
      pen.drawImage(state.image, ...area());
    }
    root.classList.toggle("pointing", Boolean(state.points));
    if (state.points) {
      const [left, top, width, height] = area();
      pen.fillStyle = "#fb923c";
      for (const [x, y] of state.points) { pen.beginPath(); pen.arc(left + x * width, top + y * height, 7, 0, 7); pen.fill(); }
      count.textContent = `No face was found here. Click ${ASKED[state.points.length] || "nothing more: the face is being cut out"}.`;
    } else {
      const pixels = new ImageData(SIDE, SIDE);
      state.mask.forEach((on, i) => { if (on) pixels.data.set([24, 24, 27, 235], 4 * i); });
      layer.getContext("2d").putImageData(pixels, 0, 0);
      pen.imageSmoothingEnabled = true;
      pen.drawImage(layer, 0, 0, size, size);
      const hidden = outline();
      count.textContent = `${hidden} of ${CELLS * CELLS} small pixels hidden` + (hidden > MOST ? ": more than the methods are trained for" : "");
      count.classList.toggle("many", hidden > MOST);
    }
    if (document.activeElement === canvas) {
      pen.strokeStyle = "#fff";
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(...state.at.map((v) => (v * size) / SIDE), state.points ? 8 : (brush.value / 2) * (size / SIDE), 0, 7);
      pen.stroke();
    }
  }

  function dab([x, y]) {
    const r = brush.value / 2;
    for (let j = Math.max(0, Math.ceil(y - r)); j < Math.min(SIDE, y + r); j++)
      for (let i = Math.max(0, Math.ceil(x - r)); i < Math.min(SIDE, x + r); i++)
        if ((i + 0.5 - x) ** 2 + (j + 0.5 - y) ** 2 <= r * r) state.mask[j * SIDE + i] = state.on;
  }

  function change(edit) {  // with undo
    state.past.push(state.mask.slice());
    edit();
    draw();
    painted(state.mask);
  }

  function point([x, y]) {
    const [left, top, width, height] = area(), size = canvas.width / SIDE;
    const at = [(x * size - left) / width, (y * size - top) / height];
    if (at.some((v) => v < 0 || v > 1)) return;
    if (state.points.length > 4) state.points = [];
    state.points.push(at);
    draw();
    if (state.points.length === 5) pointed(state.points);
  }

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  };
  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    state.at = place(event);
    if (state.points) return point(state.at);
    canvas.setPointerCapture(event.pointerId);
    state.past.push(state.mask.slice());
    state.drawing = true;
    dab(state.at);
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!state.drawing) return;
    const from = state.at, to = place(event), steps = Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])) || 1;
    for (let k = 1; k <= steps; k++) dab(from.map((v, i) => v + ((to[i] - v) * k) / steps));
    state.at = to;
    draw();
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => { if (state.drawing) { state.drawing = false; painted(state.mask); } });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, draw);
  canvas.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 1 : 4, move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (move) state.at = state.at.map((v, i) => Math.min(SIDE - 1, Math.max(0, v + move[i] * step)));
    else if (event.key === " " && state.points) point(state.at);
    else if (event.key === " ") change(() => dab(state.at));
    else if (event.key.toLowerCase() === "z") act.undo();
    else return;
    event.preventDefault();
    draw();
  });
  brush.addEventListener("input", draw);

  const press = (on) => {
    state.on = on;
    root.querySelectorAll("[aria-pressed]").forEach((b) => b.setAttribute("aria-pressed", String((b.dataset.do === "paint") === Boolean(on))));
  };
  const act = {
    paint: () => press(1),
    erase: () => press(0),
    clear: () => change(() => state.mask.fill(0)),
    undo: () => { if (state.past.length) { state.mask = state.past.pop(); draw(); painted(state.mask); } },
    random: () => change(() => {
      const pick = (n) => BLOCK * Math.floor(Math.random() * n), w = 32 + pick(5), h = 32 + pick(4);
      const x = pick((SIDE - w) / BLOCK + 1), y = pick((SIDE - h) / BLOCK + 1);
      state.mask.fill(0);
      for (let j = y; j < y + h; j++) state.mask.fill(1, j * SIDE + x, j * SIDE + x + w);
    }),
  };
  root.querySelector(".tools").addEventListener("click", (event) => act[event.target.dataset.do]?.());

  return {
    /** Show another picture with its own hole; asked for points where `points` is true. */
    show(address, mask, points = false) {
      const image = new Image();
      Object.assign(state, { mask, past: [] });
      image.onload = () => {
        Object.assign(state, { image, points: points ? [] : null });
        draw();
      };
      image.src = address;
    },
    /** Hide more, as one stroke that can be undone. */
    add: (mask) => change(() => mask.forEach((on, i) => { if (on) state.mask[i] = 1; })),
    get mask() { return state.mask; },
  };
}

/** Let every slider in `root` show more or less of what was before. */
function watchSliders(root) {
  root.addEventListener("input", (event) => {
    if (event.target.matches(".versus input")) event.target.parentElement.style.setProperty("--at", `${event.target.value}%`);
  });
}
