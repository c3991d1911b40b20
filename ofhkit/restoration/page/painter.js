// Paints cells of an NxN face (N and the most cells of a trained hole, MOST, come from Python). value = {image: data URI, cells: 256 characters 0 or 1}; Python sets both, this the cells.
const state = { image: null, source: "", cells: new Uint8Array(N * N), tool: 1, size: 2, last: null };
const canvas = () => element.querySelector("canvas");

function draw() {
  const view = canvas(), side = view.width / N, pen = view.getContext("2d");
  pen.fillStyle = "#d4d4d8";
  pen.fillRect(0, 0, view.width, view.height);
  if (state.image) {
    pen.imageSmoothingEnabled = state.image.naturalWidth > N;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(state.image, 0, 0, view.width, view.height);
  }
  pen.fillStyle = "rgba(24, 24, 27, .93)";
  state.cells.forEach((on, i) => on && pen.fillRect((i % N) * side, Math.floor(i / N) * side, side, side));
  pen.strokeStyle = "rgba(251, 146, 60, .9)";
  pen.lineWidth = 3;
  pen.beginPath();
  const at = (x, y) => x >= 0 && y >= 0 && x < N && y < N && state.cells[y * N + x] === 1;
  for (let y = 0; y <= N; y++)
    for (let x = 0; x <= N; x++) {
      if (at(x, y) !== at(x, y - 1)) { pen.moveTo(x * side, y * side); pen.lineTo((x + 1) * side, y * side); }
      if (at(x, y) !== at(x - 1, y)) { pen.moveTo(x * side, y * side); pen.lineTo(x * side, (y + 1) * side); }
    }
  pen.stroke();
  const hidden = state.cells.reduce((sum, on) => sum + on, 0), count = element.querySelector(".count");
  count.textContent = `${hidden} of ${N * N} pixels hidden` + (hidden > MOST ? ": more than the methods are trained for" : "");
  count.classList.toggle("many", hidden > MOST);
}

function commit() {
  props.value = { ...props.value, cells: state.cells.join("") };
}

function receive() {
  const value = props.value || {};
  if (value.cells && value.cells.length === N * N) state.cells = Uint8Array.from(value.cells, Number);
  if (value.image && value.image !== state.source) {
    state.source = value.image;
    const image = new Image();
    image.onload = () => { state.image = image; draw(); };
    image.src = value.image;
  }
  draw();
}

function block(x, y) {
  const half = Math.floor((state.size - 1) / 2);
  for (let j = y - half; j < y - half + state.size; j++)
    for (let i = x - half; i < x - half + state.size; i++)
      if (i >= 0 && j >= 0 && i < N && j < N) state.cells[j * N + i] = state.tool;
}

function cell(event) {
  const box = canvas().getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top].map((v) => Math.floor((v / box.width) * N));
}

function stroke(event) {
  const [x, y] = cell(event), [fromX, fromY] = state.last || [x, y];
  const steps = Math.max(Math.abs(x - fromX), Math.abs(y - fromY), 1);
  for (let k = 0; k <= steps; k++)
    block(Math.round(fromX + ((x - fromX) * k) / steps), Math.round(fromY + ((y - fromY) * k) / steps));
  state.last = [x, y];
  draw();
}

canvas().addEventListener("pointerdown", (event) => {
  event.preventDefault();
  canvas().setPointerCapture(event.pointerId);
  state.last = null;
  stroke(event);
});
canvas().addEventListener("pointermove", (event) => { if (event.buttons && state.last) stroke(event); });
for (const end of ["pointerup", "pointercancel"])
  canvas().addEventListener(end, () => { if (state.last) { state.last = null; commit(); } });

element.querySelector(".tools").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { tool, size, hole } = button.dataset;
  if (tool) state.tool = Number(tool);
  if (size) state.size = Number(size);
  if (hole) {
    const pick = (n) => Math.floor(Math.random() * n);
    const [w, h] = hole === "random" ? [4 + pick(5), 4 + pick(4)] : [6, 6];
    const [x, y] = hole === "random" ? [pick(N - w + 1), pick(N - h + 1)] : [5, 5];
    state.cells.fill(0);
    if (hole !== "none") for (let j = y; j < y + h; j++) state.cells.fill(1, j * N + x, j * N + x + w);
    draw();
    commit();
  } else button.parentElement.querySelectorAll("button").forEach((other) => other.classList.toggle("on", other === button));
});

watch("value", receive);
receive();
