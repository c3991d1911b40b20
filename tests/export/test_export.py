"""What is written is the model, at any batch size, for every component, or says why not."""

import json
import warnings
import zipfile

import pytest
import torch
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.export import FORMATS, agreement, export, graph, load_exported, sample, throughput, write
from ofhkit.export.formats import trace
from ofhkit.export.pixel_shuffle import ShuffledConv2d
from ofhkit.functional.resample import downsample_cubic
from ofhkit.ops import UpsampleConv2d, fold
from ofhkit.registry import HALLUCINATORS, INPAINTERS, UPSAMPLERS

SMALL = {
    "ResidualUpsampler": dict(channels=(4, 4, 4), head_channels=(4, 4), image_skip=True),
    "URDGN": dict(channels=(4, 4, 4, 4)),
    "LinearUpsampler": dict(block=1, rank=4),
    "TrunkUpsampler": dict(channels=8, num_blocks=2, ladder=(8, 8, 8)),
    "VDSR": dict(channels=4, num_blocks=3),
    "FSRCNN": dict(channels=4, map_channels=4, num_blocks=1),
}
EXAMPLE = {"lr": torch.rand(3, 3, 16, 16), "mask": torch.zeros(3, 1, 16, 16)}
TINY = dict(type="EncoderDecoder", channels=(4, 4, 4, 4), decoder_channels=(4, 4, 4))


def pipeline(upsampler="ResidualUpsampler", inpainter=TINY, **parts):
    """A pipeline whose normalisations have a history, as training would leave them."""
    torch.manual_seed(0)
    model = HALLUCINATORS.build(
        dict(
            type="FaceHallucinator",
            inpainter=inpainter,
            upsampler=dict(type=upsampler, **SMALL.get(upsampler, {})),
            **parts,
        )
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.normal_(module.weight, 1, 0.5)
    for part in (model.inpainter, model.upsampler):
        if hasattr(part, "partial_fit"):
            hr = sample(6).hr
            part.partial_fit(downsample_cubic(hr).clamp(0, 1), hr)
            part.finalise()
    model.info = {"method": "OFHNet", "licence": "for tests"}
    return model.eval()


@pytest.fixture(scope="module")
def faces():
    return sample(5)


def need_onnx():
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed (pip install 'ofhkit[export]')")


@pytest.mark.slow
@pytest.mark.parametrize("name", UPSAMPLERS.names())
def test_every_upsampler_is_exported_exactly_in_both_formats(name, faces, tmp_path):
    model = pipeline(name)
    program = trace(graph(model), EXAMPLE)
    run = torch.no_grad()(program.module())
    found = agreement(model, run, faces)
    assert found.largest < 1e-5
    if name in ("ResidualUpsampler", "Bicubic"):  # the others pass through the same doors
        need_onnx()
        run, found = export(model, tmp_path / "m.onnx", "onnx", faces=faces)
        assert found.largest < 1e-5
        assert found.exported == pytest.approx(found.eager, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", INPAINTERS.names())
def test_every_inpainter_is_exported_or_says_why_not(name, faces):
    model = pipeline("Bicubic", dict(type=name))
    if reason := getattr(model.inpainter, "not_exported", None):
        with pytest.raises(OfhkitError, match=f"{name} cannot be exported: {reason}"):
            graph(model)
        return
    assert agreement(model, torch.no_grad()(trace(graph(model), EXAMPLE).module()), faces).largest < 1e-5


def test_what_lies_under_the_hole_is_not_seen_and_marks_are_binary(faces):
    form = graph(pipeline())
    under = torch.where(faces.mask > 0, torch.nan, faces.lr)
    with torch.no_grad():
        assert torch.equal(form(under, faces.mask * 0.6), form(faces.lr, faces.mask))


@pytest.mark.slow
def test_a_file_carries_what_inference_needs_and_a_notice(faces, tmp_path):
    model = pipeline(discriminator=dict(type="URDGNDiscriminator", channels=(4, 4, 4, 4), hidden_channels=8))
    run, found = export(model, tmp_path / "m.pt2", "torch", faces=faces)
    assert found.largest < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == ["m.pt2"]
    with zipfile.ZipFile(tmp_path / "m.pt2") as archive:
        notes = json.loads(archive.read(next(n for n in archive.namelist() if n.endswith("ofhkit.json"))))
    assert notes["notice"] == "hallucinated: not for identification"
    assert notes["licence"] == "for tests"
    assert not any("discriminator" in key for key in torch.export.load(tmp_path / "m.pt2").state_dict)
    rows = throughput(model, run, faces, (1, 7), 1)
    assert [row["batch"] for row in rows] == [1, 7]
    assert all(row[name] > 0 for row in rows for name in ("eager", "fused", "exported"))


@pytest.mark.slow
def test_bfloat16_says_what_it_costs(faces, tmp_path):
    _, found = export(pipeline(), tmp_path / "m.pt2", "torch", "bfloat16", faces)
    assert 1e-5 < found.largest < 0.2
    assert 30 < found.against_eager < 90


@pytest.mark.slow
def test_int8_says_what_it_costs(faces, tmp_path):
    need_onnx()
    import onnx

    _, found = export(pipeline(), tmp_path / "m.onnx", "onnx", "int8", faces)
    assert found.largest > 1e-5
    assert 20 < found.against_eager < 70
    model = onnx.load(str(tmp_path / "m.onnx"))
    kinds = {node.op_type for node in model.graph.node}
    assert "QuantizeLinear" in kinds
    assert "ConvTranspose" not in kinds
    assert {p.key: p.value for p in model.metadata_props}["licence"] == "for tests"


@pytest.mark.slow
def test_a_file_that_is_not_the_model_is_not_kept(faces, tmp_path, monkeypatch):
    model = pipeline("FSRCNN")

    def wrong(form, *rest):
        with torch.no_grad():
            form.model.upsampler.deconv.bias += 0.01
        write(form, *rest)

    monkeypatch.setattr("ofhkit.export.check.write", wrong)
    with pytest.raises(OfhkitError, match=r"m\.pt2 differs from the model by 1\.\de-02 .* was not kept"):
        export(model, tmp_path / "m.pt2", "torch", faces=faces)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [3, 5])
def test_the_shuffled_form_is_the_same_function(size):
    torch.manual_seed(0)
    conv = UpsampleConv2d(3, 5, size)
    layer = fold(conv, activation="relu")
    x = torch.rand(2, 3, 6, 7)
    torch.testing.assert_close(ShuffledConv2d(layer)(x), torch.relu(conv(x)))
    with pytest.raises(OfhkitError, match="needs a transposed convolution of stride 2"):
        ShuffledConv2d(fold(nn.Conv2d(3, 3, 3, padding=1)))


def test_a_plain_onnx_export_of_the_upsampling_operator_is_right(tmp_path):
    need_onnx()
    import onnxruntime

    conv, x = UpsampleConv2d(2, 3, 3).eval().requires_grad_(False), torch.rand(1, 2, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(conv, (x,), tmp_path / "c.onnx", dynamo=False, input_names=["x"])
    session = onnxruntime.InferenceSession(tmp_path / "c.onnx", providers=["CPUExecutionProvider"])
    torch.testing.assert_close(torch.from_numpy(session.run(None, {"x": x.numpy()})[0]), conv(x))


def test_mistakes_are_one_sentence(faces, tmp_path, monkeypatch):
    model = pipeline("Bicubic")
    for arguments, message in (
        ((tmp_path / "m.pt2", "torch", "int8"), "int8 goes with --format onnx"),
        ((tmp_path / "m.onnx", "onnx", "bfloat16"), "bfloat16 goes with --format torch"),
        ((tmp_path / "m.onnx", "torch"), r"m\.onnx: a file of format torch ends in \.pt2"),
    ):
        with pytest.raises(OfhkitError, match=message):
            export(model, *arguments, faces=faces)
    with pytest.raises(OfhkitError, match="does not exist"):
        load_exported(tmp_path / "none.onnx")
    (tmp_path / "text.pt2").write_text("no")
    with pytest.raises(OfhkitError, match="is not an exported pipeline"):
        load_exported(tmp_path / "text.pt2")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(OfhkitError, match=r"finds no g\+\+"):
        write(graph(model), tmp_path / "m.pt2", "aot")
    assert set(FORMATS) == {"onnx", "torch", "aot"}
