"""Weight files that a stranger might send: some sixty written down, and as many mutated ones as are asked for."""

import copy
import json
import random
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pipeline_maker import FSRCNN, INPAINTER

from ofhkit.registry import HALLUCINATORS

KINDS = {
    "float32": "F32",
    "float16": "F16",
    "float64": "F64",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
    "bool": "BOOL",
}
MODEL = {"type": "FaceHallucinator", "inpainter": INPAINTER, "upsampler": FSRCNN}
CONV = "upsampler.body.0.weight"


def good(upsampler: dict = FSRCNN) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and header of a pipeline that can be loaded."""
    model = {**MODEL, "upsampler": upsampler}
    torch.manual_seed(0)
    tensors = {name: value.numpy() for name, value in HALLUCINATORS.build(model).state_dict().items()}
    return tensors, json.loads(json.dumps({"method": "x", "model": model, "data": {}, "budget": 1.0, "seed": 0}))


def pack(tensors: dict[str, np.ndarray], header: Any, table: dict | None = None) -> bytes:
    """A safetensors file by hand; ``header`` a text stands as it is, ``table`` overrides entries of the file's own."""
    entries: dict[str, Any] = {"__metadata__": {"ofhkit": header if isinstance(header, str) else json.dumps(header)}}
    blocks, end = [], 0
    for name, value in tensors.items():
        blocks.append(np.ascontiguousarray(value).tobytes())
        entries[name] = {"dtype": KINDS[str(value.dtype)], "shape": list(value.shape)}
        entries[name]["data_offsets"] = [end, end := end + len(blocks[-1])]
    text = json.dumps({**entries, **(table or {})}).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(blocks)


def _with(header: dict, dotted: str, value: Any) -> dict:
    header = copy.deepcopy(header)
    node, *keys = header, *dotted.split(".")
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    return header


def _nested(depth: int) -> list:
    tree: list = []
    for _ in range(depth):
        tree = [tree]
    return tree


HEADERS = [  # (dotted key, value)
    ("model.upsampler.channels", 10**9), ("model.upsampler.channels", 2**16), ("model.upsampler.channels", 10**30),
    ("model.upsampler.channels", -1), ("model.upsampler.channels", 0), ("model.upsampler.channels", "4"),
    ("model.upsampler.channels", [4]), ("model.upsampler.channels", True), ("model.upsampler.channels", None),
    ("model.upsampler.channels", 1e300), ("model.upsampler.num_blocks", 10**9), ("model.upsampler.num_blocks", 1024),
    ("model.upsampler.scale", 10**6), ("model.upsampler.scale", 10), ("model.upsampler.scale", -8),
    ("model.upsampler.type", "os.system"), ("model.upsampler.type", ["FSRCNN"]), ("model.upsampler.type", {}),
    ("model.upsampler.type", "EncoderDecoder"), ("model.upsampler.extra", 1), ("model.upsampler", "FSRCNN"),
    ("model.upsampler", {"type": "Bicubic", "scale": 10**5}), ("model.upsampler", {"type": "Bicubic", "scale": 1000}),
    ("model.upsampler", {"type": "PositionPatch", "image_size": 4096, "patch": 64, "step": 1}),
    ("model.upsampler", {"type": "MeanFace", "image_size": 60000}),
    ("model.upsampler", {"type": "ResidualUpsampler", "channels": [1] * 40}),
    ("model.upsampler", {"type": "ResidualUpsampler", "channels": [60000] * 3}),
    ("model.upsampler", {"type": "ResidualUpsampler", "channels": []}),
    ("model.upsampler", {"type": "VDSR", "num_blocks": 10**6}),
    ("model.upsampler", {"type": "VDSR", "channels": 60000}),
    ("model.inpainter.channels", [4]), ("model.inpainter.channels", [4] * 500), ("model.inpainter.channels", []),
    ("model.inpainter.channels", [float("nan")] * 4), ("model.inpainter", {"type": "Telea", "radius": float("inf")}),
    ("model.inpainter", {"type": "Telea", "radius": 1e9}), ("model.inpainter", None), ("model.inpainter", {}),
    ("model.type", "InpainterPretraining"), ("model.type", "BaseDataPreprocessor"), ("model.type", 5),
    ("model.discriminator", {"type": "PatchDiscriminator"}), ("model.data_preprocessor", {"type": "Degradation"}),
    ("model.losses", {"a": {"type": "PixelLoss"}}), ("model", []), ("model", "x"), ("model", {}),
    ("model", _nested(50)),
    ("method", None), ("method", "x" * 10**6), ("method", 5), ("licence", ["x"]), ("licence", "x" * 2000),
    ("data", []), ("seed", 10**4000), ("budget", "much"), ("template", [[0, 0]] * 5),
    ("template", [[float("nan")] * 2] * 5), ("template", "no"),
    ("template", [[1e30, 2], [3, 4], [5, 6], [7, 8], [9, 9]]),
    ("fingerprints", 7), ("metrics", ["PSNR"]), ("name", {"a": 1}),
]  # fmt: skip


def written_down() -> Iterator[tuple[str, bytes]]:
    """Name -> file of each case that must be refused."""
    tensors, header = good()
    for number, (dotted, value) in enumerate(HEADERS):
        yield f"header-{number:02d}-{dotted}", pack(tensors, _with(header, dotted, value))
    yield "deep", pack(tensors, "[" * 100_000)
    yield "deeper", pack(tensors, '{"a":' * 5000 + "1" + "}" * 5000)
    yield "no-object", pack(tensors, "[1, 2]")
    yield "long", pack(tensors, _with(header, "note", "x" * 2**21))
    for name, change in {
        "nan": lambda t: np.full_like(t, np.nan), "inf": lambda t: np.full_like(t, -np.inf),
        "overflow": lambda t: np.full(t.shape, 1e300), "bool": lambda t: t > 0, "whole": lambda t: t.astype(np.int32),
        "bytes": lambda t: t.astype(np.uint8), "turned": lambda t: t.transpose(1, 0, 2, 3), "flat": lambda t: t.ravel(),
    }.items():  # fmt: skip
        yield f"tensor-{name}", pack({**tensors, CONV: change(tensors[CONV])}, header)
    counter = next(name for name in tensors if name.endswith("num_batches_tracked"))
    yield "tensor-counter", pack({**tensors, counter: np.full((), 0.5, np.float32)}, header)
    variance = next(name for name in tensors if name.endswith("running_var"))
    yield "tensor-variance", pack({**tensors, variance: np.full_like(tensors[variance], -1)}, header)
    yield "missing", pack({name: value for name, value in tensors.items() if name != CONV}, header)
    yield "extra", pack({**tensors, "x\x1b[31m": tensors[CONV]}, header)
    yield "none", pack({}, header)
    yield from _files(tensors, header)
    colors = {"type": "VDSR", "in_channels": 5, "channels": 4, "num_blocks": 3}
    yield "five-colors", pack(*good(colors))
    yield "unfitted", pack(*good({"type": "MeanFace"}))


def _files(tensors: dict[str, np.ndarray], header: dict) -> Iterator[tuple[str, bytes]]:
    """Damage below the header: what the file says of its own bytes."""
    entry = {"dtype": "F32", "shape": list(tensors[CONV].shape), "data_offsets": [0, tensors[CONV].nbytes]}
    for name, change in {
        "offsets-beyond": {"data_offsets": [2**40, 2**40 + tensors[CONV].nbytes]},
        "offsets-back": {"data_offsets": [9, 3]}, "offsets-negative": {"data_offsets": [-4, 4]},
        "shape-huge": {"shape": [2**31, 2**31]}, "shape-negative": {"shape": [-1]},
        "dtype-unknown": {"dtype": "F128"}, "dtype-small": {"dtype": "F4"},
    }.items():  # fmt: skip
        yield name, pack(tensors, header, {CONV: {**entry, **change}})
    whole = pack(tensors, header)
    yield "metadata-number", pack(tensors, header, {"__metadata__": {"ofhkit": 5}})
    yield "metadata-none", pack(tensors, header, {"__metadata__": {}})
    yield "twice", whole.replace(b'{"__metadata__"', b'{"' + CONV.encode() + b'": 1, "__metadata__"', 1)
    yield "length-huge", struct.pack("<Q", 2**62) + whole[8:]
    yield "length-zero", struct.pack("<Q", 0) + whole[8:]
    yield "cut", whole[: len(whole) // 2]
    yield "cut-early", whole[:20]
    yield "empty", b""
    yield "text", b"These are no weights."


VALUES = [0, -1, 3, 10**9, 10**30, 1e308, float("nan"), float("inf"), True, None, "", "x" * 5000, [], [1] * 2000, {},
          {"type": "VDSR"}, _nested(30), "\x1b[2J", "\u202e", "../../x", "FSRCNN"]  # fmt: skip


def mutated(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Files of which nobody knows whether they can be used: a few random changes to a good one each."""
    draw = random.Random(seed)
    for number in range(count):
        tensors, header = good(
            draw.choice(
                [
                    FSRCNN,
                    {"type": "Bicubic"},
                    {"type": "ResidualUpsampler", "channels": [4, 4, 4], "head_channels": [4, 4]},
                ]
            )
        )
        for _ in range(draw.randint(1, 3)):
            _mutate(draw, tensors, header)
        content = bytearray(pack(tensors, header))
        for _ in range(draw.choice([0, 0, 0, 1, 5])):
            content[draw.randrange(min(len(content), 4000))] = draw.randrange(256)
        yield f"mutated-{number:03d}", bytes(content[: draw.choice([None, None, None, draw.randrange(len(content))])])


def _mutate(draw: random.Random, tensors: dict[str, np.ndarray], header: dict) -> None:
    if draw.random() < 0.3:
        name = draw.choice(list(tensors))
        value = tensors.pop(name)
        if draw.random() < 0.7:
            odd = draw.choice([np.nan, np.inf, 1e30, -1.0, 0.0])
            tensors[draw.choice([name, name + "x"])] = draw.choice(
                [np.full_like(value, odd) if value.dtype.kind == "f" else value, value > 0, value.ravel()]
            )
        return
    node = header
    while True:
        key = draw.choice([*node, "new"])
        if not isinstance(node.get(key), dict) or not node[key] or draw.random() < 0.2:
            break
        node = node[key]
    if draw.random() < 0.2:
        node.pop(key, None)
    else:
        node[key] = draw.choice(VALUES)
