"""The compiled kernels: how they come to be, and that nothing depends on them."""

import os
import platform
import shutil
import subprocess
import sys

import pytest
import torch
from compiler_marks import needs_compiler

from ofhkit.models.upsamplers.residual import ResidualUpsampler
from ofhkit.ops import fuse, jit_c, native_conv

pytestmark = needs_compiler


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """Start without a loaded library, with an empty cache; afterwards as before."""
    monkeypatch.setenv("OFHKIT_CACHE", str(tmp_path))
    jit_c._load.cache_clear()
    yield tmp_path / "kernels"
    jit_c._load.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="torch's OpenMP runtime may be another than the compiler's")
def test_where_there_is_a_compiler_the_kernels_are_built_and_agree(fresh):
    jit_c.load(jit_c.build(jit_c.compiler(), fresh))  # raises what library() keeps to itself
    assert jit_c.library() is not None
    assert native_conv.verified.__wrapped__()


@pytest.mark.slow
def test_compiled_once_then_loaded(fresh, monkeypatch):
    assert jit_c.library().ofhkit_block() in (16, 32)
    (path,) = fresh.iterdir()
    made = path.stat().st_mtime_ns
    jit_c._load.cache_clear()
    assert jit_c.library() is not None
    assert [entry.stat().st_mtime_ns for entry in fresh.iterdir()] == [made]


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"not a library", None])
def test_a_damaged_file_is_compiled_anew(fresh, damage):
    path = jit_c.build(jit_c.compiler(), fresh)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    jit_c.build(jit_c.compiler(), fresh)
    assert jit_c._whole(path)
    assert jit_c.load(path).ofhkit_block() in (16, 32)


def test_no_compiler(fresh, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(fresh))
    assert jit_c.compiler() is None
    assert jit_c.library() is None
    x = torch.rand(2, 3, 16, 16)
    model = ResidualUpsampler((32, 32), (32, 4)).eval()
    assert torch.allclose(fuse(model)(x), model(x), atol=1e-5)


@pytest.mark.parametrize("command", ["false", "true", "env false"])
def test_a_compiler_that_fails(fresh, monkeypatch, command):
    monkeypatch.setenv("CC", command)
    assert jit_c.library() is None


def test_a_symbol_that_is_missing_is_no_crash(fresh, monkeypatch, tmp_path):
    (tmp_path / "all.c").write_text("extern void nowhere(void); void ofhkit_upsample_conv(void) { nowhere(); }")
    monkeypatch.setattr(jit_c, "SOURCES", tmp_path)
    assert jit_c.library() is None


def test_a_folder_open_to_others_is_not_used(fresh):
    fresh.mkdir(parents=True)
    fresh.chmod(0o777)
    with pytest.raises(OSError, match="can be written by others"):
        jit_c.build(jit_c.compiler(), fresh)
    assert jit_c.library() is None


@pytest.mark.slow
def test_a_file_open_to_others_is_not_used(fresh):
    jit_c.build(jit_c.compiler(), fresh).chmod(0o666)
    assert jit_c.library() is None


def test_a_folder_that_cannot_be_made(fresh):
    fresh.write_text("a file")
    assert jit_c.library() is None


@pytest.mark.slow
def test_another_source_or_compiler_is_another_file(fresh, monkeypatch, tmp_path):
    first = jit_c.build(jit_c.compiler(), fresh)
    changed = tmp_path / "sources"
    shutil.copytree(jit_c.SOURCES, changed)
    (changed / "kernel.h").write_text((changed / "kernel.h").read_text() + "/* changed */")
    monkeypatch.setattr(jit_c, "SOURCES", changed)
    second = jit_c.build(jit_c.compiler(), fresh)
    monkeypatch.setattr(jit_c, "FLAGS", (*jit_c.FLAGS, "-g"))
    assert len({first, second, jit_c.build(jit_c.compiler(), fresh)}) == 3


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="flags of another processor")
@pytest.mark.parametrize("flag", ["-mno-avx512f", "-march=x86-64"])
def test_processors_with_narrower_vectors(fresh, monkeypatch, flag):
    monkeypatch.setattr(jit_c, "FLAGS", (*jit_c.FLAGS, flag))
    assert jit_c.library().ofhkit_block() == 16
    assert native_conv.verified.__wrapped__()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="flags of another processor")
@pytest.mark.parametrize(("capability", "block"), [("avx2", 16), ("avx512", 32)])
def test_kernels_are_no_wider_than_torch_may_be(fresh, monkeypatch, capability, block):
    monkeypatch.setattr(jit_c, "FLAGS", ("-march=skylake-avx512", *jit_c.FLAGS[2:]))
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", capability)
    assert jit_c.load(jit_c.build(jit_c.compiler(), fresh)).ofhkit_block() == block


@pytest.mark.parametrize(("value", "allowed"), [("1", False), ("yes", False), ("0", True), ("", True)])
def test_the_switch(monkeypatch, value, allowed):
    monkeypatch.setenv(jit_c.VARIABLE, value)
    assert (jit_c.library() is not None) == allowed


@pytest.mark.slow
def test_several_processes_at_once(fresh):
    code = "from ofhkit.ops import native_conv; raise SystemExit(not native_conv.verified())"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    jobs = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [job.wait(timeout=300) for job in jobs] == [0, 0, 0]
    assert len(list(fresh.iterdir())) == 1
