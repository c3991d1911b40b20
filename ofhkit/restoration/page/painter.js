// Joins the painter to Gradio: value = {image, mask, points}; Python sets the picture and its hole, this what is painted.
const tell = (change, event) => { props.value = { ...props.value, ...change }; if (event) trigger(event); };
const painter = makePainter(element.querySelector(".painter"), (mask) => tell({ mask: packMask(mask) }), (points) => tell({ points }, "submit"));
let source = "";

function receive() {
  const { image, mask, lost } = props.value || {};
  if (!mask) return;
  if (image && image !== source) {
    source = image;
    painter.show(image, unpackMask(mask), lost);
  } else if (mask !== packMask(painter.mask)) painter.add(unpackMask(mask));  // a mask file adds; what was painted stays
  if (image) props.value = { mask, points: [] };  // what goes back is small
}
watch("value", receive);
receive();
