"""The Python of README and integrator's guide, run as it stands against a real service."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from running import RunningService, wait_for
from scanmend.engine.catalogue import Catalogue

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ["README.md", "docs/integrators-guide.md"]


@pytest.mark.parametrize("name", GUIDES)
def test_the_python_blocks_of_a_guide_run(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / name).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    with RunningService(tmp_path / "data") as service:
        # The guides are for a service that runs, as `make demo` announces it: with its models loaded.
        ready = f"{service.page.partition('/#')[0]}/readyz"
        wait_for(lambda: httpx.get(ready, timeout=60).status_code == 200, 60, "the service is not ready")
        code = "\n\n".join(blocks).replace("tcp://127.0.0.1:7501", service.address)
        exec(compile(code, name, "exec"), {"__name__": "guide"})
    said = capsys.readouterr().out
    assert any(name in said for name in Catalogue().names())  # which one depends on how fast the machine is
