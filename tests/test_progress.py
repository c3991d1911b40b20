import io

import pytest

from ofhkit.runtime import progress
from ofhkit.runtime.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_come_at_intervals_and_at_the_end(clock):
    out = io.StringIO()
    bar = Progress(100, "faces", stream=out, interval=10)
    for _ in range(50):
        clock[0] += 1
        bar.update(2)
    lines = out.getvalue().splitlines()
    assert lines[0] == "faces 20/100 (20 %), 2/s, 0:40 left"
    assert lines[-1] == "faces 100/100 (100 %), 2/s, 0:50 taken"
    assert len(lines) == 5
    assert "\r" not in out.getvalue()


def test_a_terminal_s_line_is_redrawn(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    bar = Progress(4, "[upsampler] faces", stream=out)
    bar.update(2)
    bar.live.refresh()
    bar.close()
    shown = out.getvalue()
    assert "[upsampler] faces" in shown
    assert "2/4" in shown
    assert "left" in shown
    assert "\x1b[2K" in shown  # the line is cleared and written again
    assert shown.endswith("\x1b[?25h")  # the cursor is back


def test_earlier_work_does_not_count_as_speed(clock):
    out = io.StringIO()
    bar = Progress(100, "faces", done=50, stream=out, interval=0)
    clock[0] = 5
    bar.update(10)
    assert out.getvalue() == "faces 60/100 (60 %), 2/s, 0:20 left\n"
