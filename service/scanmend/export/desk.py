"""Draws pictures for the web process, which must never be busy: `python -m scanmend.export.desk`.

A line of JSON on standard input is a job, a line on standard output its end, in that order:

    {"job": "thumbnail", "folder": SESSION, "target": FILE}      {"made": true}
    {"job": "kept", "folder": FOLDER, "about": {…}, "files": {…}}        {"made": false, "detail": …, "mend": …}

It gives way to all other processes, ends with the one that started it, and ends when its input does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scanmend.errors import ScanmendError
from scanmend.export.aside import written_aside
from scanmend.export.kept import write_kept
from scanmend.export.thumbnail import thumbnail_png
from scanmend.humble import be_humble
from scanmend.ipc.parent import end_with_parent

NICE = 19


def do(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job; gives what is said of it."""
    folder = Path(job["folder"])
    try:
        if job["job"] == "thumbnail":
            data = thumbnail_png(folder)
            with written_aside(Path(job["target"]), force=True) as aside:
                aside.write_bytes(data)
        else:
            write_kept(folder, job["about"], job["files"])
    except ScanmendError as error:
        return {"made": False, "detail": error.message, "mend": error.mend}
    except OSError as error:
        return {"made": False, "detail": f"A file cannot be read or written: {error}.", "mend": "Look at the disk."}
    return {"made": True}


def main() -> int:
    """Work until the input ends."""
    end_with_parent()
    be_humble(NICE)
    for line in sys.stdin:
        print(json.dumps(do(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
