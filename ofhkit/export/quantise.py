"""An ONNX file in 8 bits: weights by output channel, activations by the ranges that occur on rendered faces."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ofhkit.export.requirements import need


def quantise(file: Path, calibration: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Replace an ONNX file by its 8-bit form, which takes and returns float32 as before.

    Only convolutions compute in 8 bits; sums, shuffles and the paste stay as they are.

    Args:
        calibration: (lr, mask) batches.

    Raises:
        OfhkitError: ONNX Runtime is not installed.
    """
    need("onnx", "onnxruntime")
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Batches(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(calibration)

        def get_next(self) -> dict | None:
            pair = next(self.left, None)
            return None if pair is None else dict(zip(("lr", "mask"), (t.numpy() for t in pair)))

    notes = {entry.key: entry.value for entry in onnx.load(str(file)).metadata_props}
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            small = Path(folder) / file.name
            quantize_static(
                str(file),
                str(small),
                Batches(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            model = onnx.load(str(small))
    finally:
        logging.disable(level)
    onnx.helper.set_model_props(model, {**notes, "precision": "int8"})
    file.write_bytes(model.SerializeToString())
