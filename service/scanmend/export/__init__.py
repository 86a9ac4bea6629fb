"""Recordings as files that other programs open: NeXus, TIFF, Zarr, PNG, movies, npz, csv.

`export_nexus` writes all that a session's journal holds into one `.nxs` file; `docs/files.md` has its layout. The other
writers give one picture, pictures in a row, one exposure or one table. All of them read the journal frame by frame,
write aside, and give the file its name only when it is whole.
"""

from __future__ import annotations

from scanmend.export.nexus import export_nexus
from scanmend.export.options import Compression, ExportReport, Loader, Mender, Restored
from scanmend.export.session import RecordedSession

__all__ = ["Compression", "ExportReport", "Loader", "Mender", "RecordedSession", "Restored", "export_nexus"]
