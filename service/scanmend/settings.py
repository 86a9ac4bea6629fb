"""The settings of a service, from the command line, `SCANMEND_…` variables, or defaults that keep strangers out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field as Setting
from pydantic import field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from scanmend.wire.header import FRAME_HEADER_BYTES

MIB = 1 << 20
LOOPBACK = "127.0.0.1"
EXPORTS = "exports"
"""Folder in the data folder to which sessions are exported by themselves."""


class Settings(BaseSettings):
    """Every setting, frozen; all processes read the same file."""

    model_config = SettingsConfigDict(env_prefix="SCANMEND_", frozen=True, extra="forbid")

    host: str = LOOPBACK
    """Address on which microscopes and browsers connect; anything but loopback is refused in this version."""
    port: Annotated[int, Setting(ge=0, le=65535)] = 7501
    """Port for microscopes (ZeroMQ); 0 takes a free one."""
    http_port: Annotated[int, Setting(ge=0, le=65535)] = 7580
    """Port of the page and the API; 0 takes a free one."""
    data_dir: Path = Path("scanmend-data")
    """Folder of recordings and of the access token."""
    allow_recording: bool = True
    """Whether sessions may record; without it, durable delivery is refused."""
    model: str = "auto"
    """Model for sessions that ask for `auto`; `auto` takes the best that is live."""
    threads: Annotated[int, Setting(ge=0, le=256)] = 0
    """Threads of a runtime; 0 lets the tune choose."""
    tune_s: Annotated[float, Setting(ge=0, le=60)] = 2.0
    """Time for the choice among runtimes at start; 0 takes ONNX Runtime without a choice."""
    runtimes: tuple[Literal["onnxruntime", "openvino"], ...] = ("onnxruntime", "openvino")
    """Runtimes that may be used, where they are installed."""
    max_sessions: Annotated[int, Setting(ge=1, le=256)] = 8
    max_frame_bytes: Annotated[int, Setting(ge=65536, le=512 * MIB)] = 64 * MIB
    """Largest payload of a frame."""
    credit_frames: Annotated[int, Setting(ge=2, le=256)] = 16
    """Frames that a client may have on their way."""
    queue_bytes: Annotated[int, Setting(ge=MIB)] = 256 * MIB
    """Most payload bytes waiting for the disk, all sessions together."""
    shared_bytes: Annotated[int, Setting(ge=MIB)] = 2048 * MIB
    """Most shared memory for the rings of all sessions together; a field of 4096² takes about 700 MiB."""
    segment_bytes: Annotated[int, Setting(ge=65536)] = 64 * MIB
    """Size of a journal segment."""
    free_bytes: Annotated[int, Setting(ge=0)] = 256 * MIB
    """No recording is begun with less room than this on its disk."""
    export_when_ended: bool = True
    """Whether a recorded session is exported as one `.nxs` file by itself when it has ended."""
    export_compression: Literal["blosc", "gzip", "none"] = "blosc"
    """How such a file is packed: blosc is fast and needs hdf5plugin to read; gzip is slow and read by everything."""
    exports_dir: Path | None = None
    """Folder of these files; None for `exports` in the data folder."""
    export_share: Annotated[float, Setting(ge=0, le=1)] = 0.25
    """Share of the time that an export may work in while sessions record heavily; 0 waits until they do not."""
    keeper_nice: Annotated[int, Setting(ge=0, le=19)] = 19
    """Priority of exports on the processor, as `nice` has it: 19 comes last, 0 is that of everything else."""
    retention_bytes: Annotated[int | None, Setting(ge=0)] = None
    """Room that all recordings may take before the oldest are removed; None for no limit."""
    retention_days: Annotated[float | None, Setting(ge=0)] = None
    """Age in days from which a recording is removed; None for no limit."""
    retention_unexported: bool = False
    """Whether recordings that were never exported may be removed as well: nothing of them is left then."""
    detach_s: Annotated[float, Setting(gt=0)] = 2.0
    """Silence after which a client counts as detached."""
    abandon_s: Annotated[float, Setting(gt=0)] = 600.0
    """Silence after which a detached session is ended and its receipt written."""
    approval_s: Annotated[float, Setting(gt=0)] = 600.0
    """How long a proposal awaits an operator's approval; then the loop of its session ends."""
    engine_timeout_s: Annotated[float, Setting(gt=0)] = 10.0
    """A restoration that takes longer counts as hung: frames pass through, and the engine is started again."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _frames_fit_the_queue(self) -> Settings:
        if 2 * self.max_frame_bytes > self.queue_bytes:
            raise ValueError("queue_bytes must hold two frames of max_frame_bytes: raise the one or lower the other")
        return self

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        if host not in (LOOPBACK, "localhost", "::1"):
            raise ValueError(
                f"binding to {host} would let strangers in: this version has no keys and serves loopback only; "
                "use 127.0.0.1, and an SSH tunnel from other machines"
            )
        return LOOPBACK if host == "localhost" else host

    @property
    def exports_folder(self) -> Path:
        """Where sessions are exported to by themselves."""
        return self.data_dir / EXPORTS if self.exports_dir is None else self.exports_dir

    @property
    def max_part_bytes(self) -> int:
        """Largest part of a ZeroMQ message that is let in."""
        return max(self.max_frame_bytes, 64 * MIB) + 4096 + FRAME_HEADER_BYTES
