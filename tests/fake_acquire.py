"""A stand-in for the acquire process: a real ROUTER on a real socket that answers as ipc/console.py says.

It moves procedural pictures, so that a page has something to show. Run as a program it stays until it is killed:
`python tests/fake_acquire.py RUN_DIR`.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import zmq

from scanmend.field import Channel, Field
from scanmend.ipc import console
from scanmend.ipc.engine_link import ModelInfo
from scanmend.wire.messages import Hello, Mode, Receipt

MODEL = ModelInfo(
    name="pushpull",
    version="1",
    sha256="ab" * 32,
    kind="classical",
    summary="Fills and smooths by a pyramid.",
    runtime="onnxruntime",
    provider="CPUExecutionProvider",
    precision="fp32",
    live=True,
    tuned_ms={"onnxruntime/CPU": 11.0},
)


class FakeAcquire(threading.Thread):
    """Sessions that scan a drifting specimen with one pixel in five sampled.

    Args:
        run_dir: Where the console socket is made.
        sessions: Names of the open sessions.
        scene: (ny, nx + drift) picture that is scanned; drawn where None.
    """

    def __init__(self, run_dir: Path, sessions: tuple[str, ...] = ("demo",), *, size: int = 256, rate: float = 20.0):
        super().__init__(daemon=True, name="fake-acquire")
        self.address = f"ipc://{run_dir / 'console'}"
        self.names, self.size, self.rate = list(sessions), size, rate
        self.commands: list[console.AskCommand] = []
        self.asked: list[str] = []
        self.restored, self.raster, self.engine_state = True, False, "ready"
        self.problems: list[console.ProblemInfo] = []
        self.refuse: console.Refused | None = None
        self.boot_id = time.time_ns()
        self.dose = 12.5
        self.caution: str | None = None
        self.rescan: str | None = None
        self.proposal: dict[str, object] | None = None
        self.enough = ""
        self.missing, self.states = 0, dict.fromkeys(sessions, "open")
        self.pictured: int | None = None
        """Frames from this number on are passed through and make no picture, as sparse ones do."""
        self.gain: float | None = 1.0
        self.channels: tuple[Channel, ...] | None = None
        """The session's channels, the first one restored; one of the given gain where None."""
        self.ended = ""
        self.recording: str | None = None
        """Name of each session's recording; None: the session's own name, empty: it is not recorded."""
        self.error: BaseException | None = None
        self._begun, self._over, self._listening = time.monotonic(), threading.Event(), threading.Event()
        self._movie = movie(size)
        self._maps = 0

    @property
    def number(self) -> int:
        """How many pictures there have been."""
        return int((time.monotonic() - self._begun) * self.rate) + 1

    def __enter__(self) -> FakeAcquire:
        self.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(10)
        assert not self.is_alive() and self.error is None, self.error

    def run(self) -> None:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.linger = 0
            router.bind(self.address)
            self._listening.set()
            waiting: dict[tuple[bytes, int], console.AskPicture] = {}
            try:
                while not self._over.is_set():
                    if router.poll(5):
                        who, data = router.recv_multipart()
                        message = console.decode_to_acquire(data)
                        self.asked.append(type(message).__name__)
                        if isinstance(message, console.AskPicture):
                            waiting[who, message.ask] = message
                        else:
                            router.send_multipart([who, *self._answer(message)])
                    for (who, number), ask in list(waiting.items()):
                        n = self.number if self.pictured is None else min(self.number, self.pictured)
                        if ask.session not in self.names or n > ask.newer_than:
                            del waiting[who, number]
                            router.send_multipart([who, *self._picture(ask)])
            except BaseException as error:
                self.error = error
                raise

    def _answer(self, message: console.ToAcquire) -> list[bytes]:
        if isinstance(message, console.AskCommand):
            if self.refuse is not None:
                return [console.encode(msgspec.structs.replace(self.refuse, ask=message.ask))]
            if message.session not in self.names:
                return [console.encode(console.Refused(ask=message.ask, code="no_session", reason="There is none."))]
            self.commands.append(message)
            return [console.encode(console.Obeyed(ask=message.ask))]
        if isinstance(message, console.AskDose):
            return [console.encode(console.MapFile(ask=message.ask, path=str(self._dose_map())))]
        if isinstance(message, console.AskProposal):
            none = console.Refused(ask=message.ask, code="no_proposal", reason="There is none.")
            return [console.encode(none)]
        engine = console.EngineInfo(
            state=self.engine_state,
            pid=2,
            generation=1,
            default_model="pushpull",
            models=[MODEL],
            policies=["uncertainty"],
        )
        return [
            console.encode(
                console.Status(
                    ask=message.ask,
                    version="0.1",
                    boot_id=self.boot_id,
                    started_unix_ns=time.time_ns(),
                    address="tcp://127.0.0.1:7501",
                    recordings="scanmend-data",
                    disk_free_bytes=40_000_000_000,
                    engine=engine,
                    problems=self.problems,
                    sessions=[self._session(n, i) for i, n in enumerate(self.names)],
                    refused={"model": 1},
                    junk={"malformed": 3},
                )
            )
        ]

    def _dose_map(self) -> Path:
        """The dose by pixel: twice the mean in the upper half, none in the lower."""
        dose = np.zeros((self.size, self.size), "<f4")
        dose[: self.size // 2] = 2 * self.dose
        self._maps += 1
        path = Path(self.address.removeprefix("ipc://")).with_name(f"dose-{self._maps}")
        path.write_bytes(dose.tobytes())
        return path

    @property
    def _channels(self) -> tuple[Channel, ...]:
        return self.channels or (Channel(name="HAADF", units_per_electron=self.gain),)

    def _session(self, name: str, index: int) -> console.SessionInfo:
        field = Field(shape=(self.size, self.size), pixel_size_nm=1.95, beam_current_pa=25.0, beam_energy_kev=200.0)
        hello = Hello(
            session=name,
            session_id=7 + index,
            client="fake microscope",
            field=field,
            mode=Mode.FRAMES,
            channels=self._channels,
            dose_budget_e_per_nm2=40.0,
            rescan=self.rescan,
        )
        n = self.number
        passed = {} if self.restored else {"engine_down": n}
        if self.pictured is not None:
            passed = {"engine_down": max(0, n - self.pictured)}
        account = Receipt(
            session=name,
            session_id=7 + index,
            count=n,
            scanned=n,
            dropped_by_client=0,
            received=n,
            durable=n,
            rejected={},
            gaps=self.missing,
            missing=[],
            duplicates=0,
            conflicts=0,
            damaged=0,
            restored_in=n,
            restored_out=n if self.restored else 0,
            passed_through=passed,
            dropped={},
            live_in=n,
            live_out=n,
            live_dropped=0,
            proposals=0,
            executed={},
            enough="budget" if self.enough else "",
            dose_e_per_nm2=self.dose,
            dose_max_e_per_nm2=3 * self.dose,
            budget_e_per_nm2=40.0,
            checksum_matches=True,
            recording=name if self.recording is None else self.recording,
            delivery="durable",
            reason=self.ended,
            balanced=True,
        )
        return console.SessionInfo(
            hello=hello,
            state=self.states[name],
            opened_unix_ns=time.time_ns(),
            account=account,
            frames_per_s_in=self.rate,
            frames_per_s_out=self.rate,
            bytes_per_s_in=2.0 * self.size**2 * self.rate,
            latency_ms={"p50": 13.2, "p95": 18.4, "p99": 25.0},
            queued=1,
            picture_number=n,
            model="pushpull",
            provider="CPUExecutionProvider",
            coverage=0.2,
            sigma_mean=0.8,
            caution=self.caution,
            paused="",
            proposal=self.proposal,
            enough=self.enough,
        )

    def _picture(self, ask: console.AskPicture) -> list[bytes]:
        if ask.session not in self.names:
            return [console.encode(console.Refused(ask=ask.ask, code="no_session", reason="There is none."))]
        channel = ask.channel or self._channels[0].name
        if channel not in (known.name for known in self._channels):
            return [console.encode(console.Refused(ask=ask.ask, code="no_channel", reason="There is none."))]
        n = self.number
        sparse, raster, estimate, sigma = self._movie[n % len(self._movie)]
        if channel != self._channels[0].name:
            return self._other(ask, n, sparse)
        info = console.PictureInfo(
            ask=ask.ask,
            session=ask.session,
            number=n,
            seq=n,
            shape=(self.size, self.size),
            raw_dtype="uint16" if self.raster else "float32",
            restored=self.restored,
            reason="" if self.restored else "engine_down",
            model=MODEL.name if self.restored else "",
            provider=MODEL.provider,
            sha256=MODEL.sha256,
            coverage=0.2,
            sigma_mean=0.8,
            caution=self.caution,
            dose_e_per_nm2=self.dose,
            frames_included=1,
            latency_ms=13.0,
            acquired_unix_ns=time.time_ns(),
            channel=channel,
            reference_dwell_ns=1000.0 if self.restored else None,
        )
        parts = [estimate, sigma] if self.restored else [b"", b""]
        return [console.encode(info), raster if self.raster else sparse, *parts]

    def _other(self, ask: console.AskPicture, number: int, sparse: bytes) -> list[bytes]:
        """A channel that is not restored: the samples of the other one turned upside down, in a file."""
        self._maps += 1
        path = Path(self.address.removeprefix("ipc://")).with_name(f"raw-{self._maps}")
        path.write_bytes(np.frombuffer(sparse, "<f4").reshape(self.size, self.size)[::-1].tobytes())
        info = console.PictureInfo(
            ask=ask.ask,
            session=ask.session,
            number=number,
            seq=number,
            shape=(self.size, self.size),
            raw_dtype="float32",
            raw_path=str(path),
            restored=False,
            reason="other_channel",
            model="",
            provider="",
            sha256="",
            coverage=0.2,
            sigma_mean=None,
            dose_e_per_nm2=self.dose,
            frames_included=1,
            latency_ms=13.0,
            acquired_unix_ns=time.time_ns(),
            channel=ask.channel,
            reference_dwell_ns=1000.0,
        )
        return [console.encode(info), b"", b"", b""]


def movie(size: int, length: int = 16) -> list[tuple[bytes, bytes, bytes, bytes]]:
    """Sparse raw, full raw, estimate and sigma of a specimen that drifts to the right and meets itself."""
    rng = np.random.default_rng(1)
    scene, pictures = _scene(size), []
    for n in range(length):
        truth = np.roll(scene, n * size // length, axis=1)
        counts = rng.poisson(12 * truth)
        sparse = np.where(rng.random(truth.shape) < 0.2, counts, np.nan).astype("<f4")
        sigma = 0.4 + 1.2 * np.sqrt(truth) + 3.6 * np.abs(np.gradient(truth, axis=1))
        planes = sparse, counts.astype("<u2"), (12 * truth).astype("<f4"), sigma.astype("<f4")
        pictures.append(tuple(plane.tobytes() for plane in planes))
    return pictures


def _scene(size: int) -> np.ndarray:
    """Bright round particles on a film that darkens to one side; smooth where it meets itself."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    scene = 0.12 + 0.05 * np.sin(2 * np.pi * x) + 0.03 * np.sin(4 * np.pi * y + 1)
    for cy, cx, r in zip(rng.random(26), rng.random(26), rng.uniform(0.018, 0.07, 26), strict=True):
        dx = np.abs(x - cx)
        d2 = (y - cy) ** 2 + np.minimum(dx, 1 - dx) ** 2
        scene += 0.75 * np.sqrt(np.clip(1 - d2 / r**2, 0, 1)) * rng.uniform(0.5, 1)
    return np.clip(scene, 0.02, 1.2).astype(np.float32)


if __name__ == "__main__":
    with FakeAcquire(Path(sys.argv[1]), size=512) as fake:
        fake.join()
