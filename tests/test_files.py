import os
import stat
import subprocess
import sys
import time

import pytest

from ofhkit.errors import OfhkitError
from ofhkit.runtime.files import asset, atomic_write, cache_dir, check_disk_space, file_lock, is_writable

HOLD = """
import sys, time
from ofhkit.runtime.files import file_lock
with file_lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "deep" / "a.bin"
    atomic_write(path, b"old")

    def fails(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, fails)
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]
    atomic_write(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"


def test_written_files_have_ordinary_permissions(tmp_path):
    (tmp_path / "plain").write_text("x")
    atomic_write(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
    os.chmod(tmp_path / "atomic", 0o640)
    atomic_write(tmp_path / "atomic", "y")
    assert (tmp_path / "atomic").stat().st_mode & 0o777 == 0o640


def test_a_lock_holds_between_processes_and_dies_with_its_holder(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        waited = []
        with pytest.raises(OfhkitError, match="another process holds"):  # noqa: SIM117
            with file_lock(path, waiting=lambda: waited.append(1), timeout=0.1):
                pass
        assert waited == [1]
    finally:
        holder.kill()
        holder.communicate()
    start = time.monotonic()
    with file_lock(path, timeout=10):
        assert time.monotonic() - start < 5


def test_cache_dir_obeys_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("OFHKIT_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("OFHKIT_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "ofhkit"


def test_disk_space(tmp_path):
    assert check_disk_space(tmp_path / "not" / "yet", 1, "a byte") > 1
    with pytest.raises(OfhkitError, match=r"everything needs 1000000000\.00 GB, but the disk of"):
        check_disk_space(tmp_path / "not" / "yet", 10**18, "everything")


def test_assets_and_writability(tmp_path):
    assert asset("face_landmark_68.safetensors").stat().st_size == 370912
    with pytest.raises(OfhkitError, match=r"did you mean 'LICENSES\.md'"):
        asset("LICENCES.md")
    assert is_writable(tmp_path)
    assert not is_writable(tmp_path / "absent")


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    atomic_write(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    link.unlink()
    link.symlink_to(tmp_path / "deep" / "absent")
    atomic_write(link, "made")
    assert (tmp_path / "deep" / "absent").read_text() == "made"


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to_pipe").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "folder", "to_pipe"):
        with pytest.raises(OfhkitError, match="is a folder, a pipe or a device"):
            atomic_write(tmp_path / name, "x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="symbolic links"):
        atomic_write(tmp_path / "a", "x")
    assert (tmp_path / "a").is_symlink()


def test_a_long_name_is_written(tmp_path):
    name = "ä" * 127 + "a"  # 255 bytes: as long as names can be
    assert atomic_write(tmp_path / name, "x").read_text() == "x"
