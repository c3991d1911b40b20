"""The Python interface: load a file, hallucinate an array, and be told what is wrong with one."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import ofhkit
from ofhkit.errors import OfhkitError
from ofhkit.models.uncertainty import Uncertainty
from ofhkit.registry import HALLUCINATORS
from ofhkit.zoo.release import add_calibration
from ofhkit.zoo.weights import save_weights

MODEL = dict(
    type="FaceHallucinator",
    inpainter=dict(type="EncoderDecoder", channels=[4, 4, 8, 8], decoder_channels=[8, 4, 4]),
    upsampler=dict(type="ResidualUpsampler", channels=[4, 4, 4], head_channels=[4, 4]),
)
rng = np.random.default_rng(0)
IMAGE = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
MASK = np.zeros((16, 16), bool)
MASK[4:9, 5:12] = True


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    built = HALLUCINATORS.build(MODEL)
    return save_weights(path, built.state_dict(), {"model": MODEL, "method": "OFHNet", "budget": 1.0})


@pytest.fixture(scope="module")
def model(file):
    return ofhkit.load_model(file, "cpu")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A Gaussian completion fitted to noise, with a calibration of its own, from a file."""
    config = dict(type="FaceHallucinator", inpainter=dict(type="GaussianInpainter"), upsampler=dict(type="Bicubic"))
    built = HALLUCINATORS.build(config)
    faces = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    built.inpainter.partial_fit(faces, faces)
    built.inpainter.finalise()
    path = tmp_path_factory.mktemp("fitted") / "model.safetensors"
    save_weights(path, built.state_dict(), {"model": config, "method": "Gaussian"})
    calibration = Uncertainty()
    calibration.residual.fill_(1e-6)
    calibration.small.copy_(torch.tensor([0.0, 1.0, 0.0]))
    calibration.large.copy_(torch.tensor([[0.0, 1.0, 0.0, 0.0]] * 2))
    return ofhkit.load_model(add_calibration(path, calibration), "cpu")


def test_a_file_says_all_that_is_needed(model):
    assert model.info["method"] == "OFHNet"
    assert not model.training


def test_one_face(model):
    result = ofhkit.hallucinate(model, IMAGE, MASK)
    assert result.sr.shape == (128, 128, 3)
    assert result.sr.dtype == np.uint8
    assert (np.asarray(result) == result.sr).all()
    assert (result.completed[~MASK] == IMAGE[~MASK]).all()  # what was seen stays
    assert (result.completed[MASK] != 0).any()
    assert (result.mask == MASK).all()


def test_what_lies_under_the_hole_is_never_seen(model):
    other = IMAGE.copy()
    other[MASK] = 255 - other[MASK]
    assert (
        np.asarray(ofhkit.hallucinate(model, IMAGE, MASK)) == np.asarray(ofhkit.hallucinate(model, other, MASK))
    ).all()


def test_batches_floats_and_single_faces_agree(model):
    batch = rng.random((3, 16, 16, 3)).astype(np.float32)
    masks = np.stack([MASK, MASK.T, np.zeros_like(MASK)])
    whole = ofhkit.hallucinate(model, batch, masks)
    assert whole.sr.shape == (3, 128, 128, 3)
    assert whole.sr.dtype == np.float32
    for i in range(3):
        np.testing.assert_allclose(ofhkit.hallucinate(model, batch[i], masks[i]).sr, whole.sr[i], atol=1e-5)
    direct = model(
        torch.from_numpy(batch * ~masks[..., None]).permute(0, 3, 1, 2), torch.from_numpy(masks)[:, None].float()
    )
    np.testing.assert_allclose(direct.detach().permute(0, 2, 3, 1), whole.sr, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (IMAGE[None, ..., 0], None, r"must be .16, 16, 3. or .N, 16, 16, 3., or .* RGB, got .1, 16, 16."),
        (IMAGE[:15], None, "image is 15x16 and must be 16x16"),
        (IMAGE.repeat(8, 0).repeat(8, 1), None, "image is 128x128 and must be 16x16, .* ofhkit infer"),
        (np.zeros((3, 32, 32), np.uint8), None, "image is 32x32 and must be 16x16"),
        ("nowhere.png", None, "^nowhere.png: no such file$"),
        (IMAGE, "nowhere.png", "^nowhere.png: no such file$"),
        ({"a": 1}, None, "image must be an array, a PIL image or a file's path, got dict"),
        (IMAGE, [object()], "mask must be an array, a PIL image or a file's path, got list"),
        (IMAGE.astype(int), None, "uint8, or float in .0, 1., got int64"),
        (IMAGE.astype(np.float32), None, "must lie in .0, 1."),
        (np.full((16, 16, 3), np.nan), None, "hold no NaN"),
        (IMAGE, MASK[:8], "mask must be .16, 16. or"),
    ],
)
def test_other_arrays_are_refused_with_what_was_expected(model, image, mask, message):
    with pytest.raises(OfhkitError, match=message):
        ofhkit.hallucinate(model, image, mask)


def test_the_model_is_named_where_it_is_none():
    with pytest.raises(OfhkitError, match=r"model must be one of ofhkit.load_model, got str"):
        ofhkit.hallucinate("ofhnet", IMAGE)


def test_grey_transparency_pil_images_and_paths_mean_what_their_arrays_mean(model, tmp_path):
    wanted = ofhkit.hallucinate(model, IMAGE, MASK)
    rgba = np.dstack([IMAGE, np.where(MASK, 0, 255).astype(np.uint8)])
    Image.fromarray(IMAGE).save(tmp_path / "face.png")
    Image.fromarray(rgba).save(tmp_path / "holed.png")
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    for image, mask in (
        (Image.fromarray(IMAGE), Image.fromarray(MASK)),
        (rgba, None), (Image.fromarray(rgba), None), (tmp_path / "holed.png", None),
        (str(tmp_path / "face.png"), tmp_path / "mask.png"),
        (rgba, MASK),
    ):  # fmt: skip
        got = ofhkit.hallucinate(model, image, mask)
        assert (got.sr == wanted.sr).all()
        assert (got.mask == MASK).all()
    grey = IMAGE[..., 0]
    three = ofhkit.hallucinate(model, np.dstack([grey] * 3), MASK)
    for image in (grey, grey[..., None], Image.fromarray(grey)):
        assert (ofhkit.hallucinate(model, image, MASK).sr == three.sr).all()


def test_a_result_is_one_line_a_picture_and_a_file(model, tmp_path):
    result = ofhkit.hallucinate(model, IMAGE, MASK)
    assert str(result) == f"Result(1 face of 128x128, 14% hidden, consistency {result.consistency:.1f} dB)"
    assert (np.asarray(result.image) == result.sr).all()
    assert result.save(tmp_path / "face.png") == tmp_path / "face.png"
    with Image.open(tmp_path / "face.png") as written:
        assert (np.asarray(written) == result.sr).all()
        assert written.text["Comment"] == "hallucinated: not for identification"
    assert result._repr_png_() == (tmp_path / "face.png").read_bytes()
    with pytest.raises(OfhkitError, match=r"name it face\.png"):
        result.save(tmp_path / "face.jpg")


def test_a_batch_is_one_line_and_one_picture_too(model):
    pair = np.stack([IMAGE, IMAGE[::-1]]).transpose(0, 3, 1, 2) / 255
    two = ofhkit.hallucinate(model, pair, np.stack([MASK, MASK]))
    assert two.image.size == (256, 128)
    assert str(two).startswith("Result(2 faces of 128x128, 14% hidden, consistency ")
    assert "\n" not in str(two)
    assert two.invented.shape == (2, 128, 128)
    with pytest.raises(OfhkitError, match="holds no face"):
        _ = ofhkit.hallucinate(model, pair[:0]).image


def test_a_fused_model_is_the_same_function(file, model):
    fused = ofhkit.load_model(file, "cpu", fuse=True)
    assert fused.info == model.info
    assert type(fused.upsampler) is not type(model.upsampler)
    a, b = (ofhkit.hallucinate(m, IMAGE, MASK).sr.astype(int) for m in (fused, model))
    assert np.abs(a - b).max() <= 1


def test_channels_may_come_first(model):
    batch = rng.random((2, 16, 16, 3)).astype(np.float32)
    last = ofhkit.hallucinate(model, batch, MASK[None].repeat(2, 0))
    first = ofhkit.hallucinate(model, batch.transpose(0, 3, 1, 2), MASK[None].repeat(2, 0))
    assert first.sr.shape == (2, 3, 128, 128)
    assert (first.sr.transpose(0, 2, 3, 1) == last.sr).all()
    assert (first.completed.transpose(0, 2, 3, 1) == last.completed).all()
    assert ofhkit.hallucinate(model, IMAGE.transpose(2, 0, 1), MASK).sr.shape == (3, 128, 128)


def test_the_size_of_the_batches_changes_nothing(model):
    batch = rng.integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
    whole, parts = (ofhkit.hallucinate(model, batch, batch_size=n) for n in (64, 3))
    assert np.abs(whole.sr.astype(int) - parts.sr).max() <= 1
    assert ofhkit.hallucinate(model, batch[:0]).sr.shape == (0, 128, 128, 3)
    with pytest.raises(OfhkitError, match="batch_size must be a positive"):
        ofhkit.hallucinate(model, batch, batch_size=0)


def test_a_result_says_what_was_invented_and_how_well_it_agrees(model):
    result = ofhkit.hallucinate(model, IMAGE, MASK)
    assert result.invented.shape == (128, 128)
    assert result.invented.sum() == 64 * MASK.sum()
    assert result.invented[32:72, 40:96].all()
    assert np.isfinite(result.consistency)
    assert result.consistency.shape == ()
    hidden = ofhkit.hallucinate(model, np.stack([IMAGE, IMAGE]), np.stack([MASK, np.ones_like(MASK)]))
    assert np.isfinite(hidden.consistency).tolist() == [True, False]
    assert hidden.uncertainty is None


def test_a_calibrated_model_says_how_sure_it_is(fitted):
    batch = np.stack([IMAGE, IMAGE])
    result = ofhkit.hallucinate(fitted, batch, np.stack([MASK, np.zeros_like(MASK)]), uncertainty=True)
    assert result.uncertainty.shape == (2, 128, 128)
    assert result.uncertainty[0][result.invented[0]].mean() > 2 * result.uncertainty[1][result.invented[0]].mean()
    with pytest.raises(OfhkitError, match=r"was not calibrated.*tools/prior\.py calibrate"):
        ofhkit.hallucinate(ofhkit.load_model("inpainter", "cpu"), IMAGE, MASK, uncertainty=True)


def test_samples_differ_in_the_hole_and_agree_with_what_is_seen(fitted):
    batch = rng.integers(30, 220, (3, 16, 16, 3), dtype=np.uint8)
    result = ofhkit.hallucinate(fitted, batch, MASK[None].repeat(3, 0), samples=4)
    assert result.samples.shape == (3, 4, 128, 128, 3)
    assert result.samples.std(1)[result.invented].mean() > 1
    first = ofhkit.hallucinate(fitted, batch.transpose(0, 3, 1, 2), MASK[None].repeat(3, 0), samples=4, batch_size=2)
    assert np.abs(first.samples.transpose(0, 1, 3, 4, 2).astype(int) - result.samples).max() <= 1
    single = ofhkit.hallucinate(fitted, batch[0], MASK, samples=2)
    assert single.samples.shape == (2, 128, 128, 3)
    with pytest.raises(OfhkitError, match="knows one completion only; several answers need"):
        ofhkit.hallucinate(ofhkit.load_model("inpainter", "cpu"), IMAGE, MASK, samples=2)


def test_threads_share_a_model(model):
    batch = rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    alone = [ofhkit.hallucinate(model, face, MASK).sr for face in batch]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda face: ofhkit.hallucinate(model, face, MASK).sr, batch))
    assert all((a == b).all() for a, b in zip(alone, together))


def test_a_component_is_not_a_pipeline(tmp_path):
    path = save_weights(tmp_path / "w.safetensors", {"a": torch.ones(1)}, {"component": {"type": "EncoderDecoder"}})
    with pytest.raises(OfhkitError, match="holds one component"):
        ofhkit.load_model(path, "cpu")


def test_a_file_cannot_name_code(tmp_path):
    header = {"model": {"type": "os.system", "command": "true"}, "method": "x"}
    with pytest.raises(OfhkitError, match=r"unknown hallucinator 'os\.system'"):
        ofhkit.load_model(save_weights(tmp_path / "w.safetensors", {}, header), "cpu")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = save_weights(tmp_path / "w.safetensors", {"a": torch.ones(1)}, {"model": MODEL, "method": "x"})
    with pytest.raises(OfhkitError, match=r"does not fit this FaceHallucinator: matched 0/\d+ tensors"):
        ofhkit.load_model(path, "cpu")


def test_importing_the_package_is_cheap():
    code = "import ofhkit, sys; assert 'torch' not in sys.modules; assert 'mmengine' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
