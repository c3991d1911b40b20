from pathlib import Path

import pytest
from pipeline_maker import FSRCNN, write_pack, write_pipeline


@pytest.fixture(scope="session")
def pack(tmp_path_factory) -> Path:
    return write_pack(tmp_path_factory.mktemp("pack") / "noise")


@pytest.fixture(scope="session")
def work(pack, tmp_path_factory) -> Path:
    """Two finished methods."""
    work = tmp_path_factory.mktemp("work")
    write_pipeline(work, "fsrcnn", "IN+FSRCNN", pack, FSRCNN)
    write_pipeline(
        work, "ofhnet", "OFHNet", pack, dict(type="ResidualUpsampler", channels=(4, 4, 4), head_channels=(4, 4))
    )
    return work
