"""Makes the golden bytes of the native protocol: `python tests/golden/make_golden.py`.

Each message of `docs/protocol.md` is one `.bin` file; `index.json` says what is in it. A client in another language
passes if it reads each file to the values of the index, and writes the same bytes from them. Run this only when the
protocol changes, and say so in the changelog: the files are what old clients speak.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import xxhash

from scanmend.field import Capabilities, Channel, DetectorKind, Field
from scanmend.plan import Order, ScanPlan
from scanmend.target import Target
from scanmend.wire.header import FrameFlag, FrameHeader, PassReason, RestoredFlag, RestoredHeader, xxh3
from scanmend.wire.messages import (
    Ack,
    Awaits,
    Command,
    Decider,
    Delivery,
    End,
    Enough,
    EnoughCode,
    Executed,
    ExecutedStatus,
    Hello,
    Mode,
    Nack,
    NackCode,
    Plan,
    Problem,
    ProblemLevel,
    Proposal,
    Receipt,
    Refuse,
    Returns,
    Welcome,
    encode,
)

HERE = Path(__file__).parent
SESSION = 0x0123456789ABCDEF
SHAPE = (48, 64)
"""Grid of the plans; not square, so that x and y cannot be mistaken for each other."""

PAYLOAD = np.array([[0, 1, 2, 3], [100, 200, 300, 65535]], "<u2").tobytes()
ESTIMATE = np.arange(6, dtype="<f4").tobytes()
SIGMA = np.full(6, 0.5, "<f4").tobytes()


def plans() -> dict[str, ScanPlan]:
    """One plan of each pattern, and of each order."""
    rows, columns = np.indices(SHAPE)
    disc = (rows - 20) ** 2 + (columns - 30) ** 2 < 150
    return {
        "raster": ScanPlan.raster(SHAPE, 1000),
        "raster_rectangle": ScanPlan.raster(SHAPE, 1000, top=3, left=5, height=7, width=11),
        "serpentine": ScanPlan.serpentine(SHAPE, 1000, top=1, left=2, height=3, width=4),
        "random": ScanPlan.random(SHAPE, 500, coverage=0.1, seed=42),
        "random_shuffled": ScanPlan.random(SHAPE, 500, coverage=0.1, seed=42, order=Order.RANDOM),
        "jittered_grid": ScanPlan.jittered_grid(SHAPE, 4000, pitch_px=4.5, seed=0xFEDCBA9876543210),
        "jittered_grid_serpentine": ScanPlan.jittered_grid(SHAPE, 4000, pitch_px=4.5, seed=7, order=Order.SERPENTINE),
        "spiral": ScanPlan.spiral(SHAPE, 2000, pitch_px=2.5, step_px=0.75),
        "segments": ScanPlan.segments(SHAPE, 1000, runs=[[0, 0, 5], [63, 47, -4], [10, 20, 1]]),
        "mask": ScanPlan.mask(disc, 1000),
        "mask_shuffled": ScanPlan.mask(disc, 1000, order=Order.RANDOM, seed=3),
        "points": ScanPlan.point_list(SHAPE, [100, 2000, 30], xy=[[63, 0], [0, 47], [63, 0]]),
    }


def control() -> dict[str, tuple[str, Any]]:
    """One message of each type, with what it shows."""
    small = Field(shape=(2, 4), pixel_size_nm=0.5)
    whole = Field(shape=SHAPE, pixel_size_nm=0.25, rotation_deg=-12.5, beam_current_pa=50.0, beam_energy_kev=200.0)
    analogue = Channel(
        name="BF",
        dtype="float32",
        kind=DetectorKind.ANALOGUE,
        units_per_electron=2.5,
        offset_units=10.0,
        read_noise_units=1.5,
        saturation_units=4095.0,
        reference_dwell_ns=500,
    )
    patterns = plans()
    return {
        "hello": (
            "The shortest HELLO: all other keys have their defaults.",
            Hello(session="first", session_id=SESSION, field=small, channels=(Channel(name="SE"),)),
        ),
        "hello_full": (
            "A HELLO with every key, none at its default.",
            Hello(
                session="gold-1",
                session_id=SESSION,
                client="golden",
                field=whole,
                channels=(Channel(name="HAADF", dtype="float32", units_per_electron=None), analogue),
                restore_channel="BF",
                mode=Mode.EXPOSURE,
                delivery=Delivery.RECEIVED,
                record=False,
                start=Decider.OPERATOR,
                returns=Returns.ESTIMATE,
                deadline_ms=250,
                model="pushpull",
                dose_budget_e_per_nm2=1200.0,
                pixel_dose_budget_e_per_nm2=5000.0,
                pixel_dose_rate_e_per_nm2_s=90.0,
                rescan="uncertainty",
                approval=Decider.OPERATOR,
                target=Target(sigma_of_range=0.03, quantile=0.95, region=(4, 8, 16, 32), min_gain=0.02, max_passes=12),
                capabilities=Capabilities(
                    points=False,
                    dwell_per_point=False,
                    dwell_quantum_ns=125,
                    min_dwell_ns=125,
                    max_dwell_ns=8_192_000,
                    max_points=65_536,
                    blanking=True,
                    settle_ns=7000,
                    command_ns=7_000_000,
                    segments=True,
                    rectangles=True,
                    segment_ns=50_000,
                    flyback_ns=12_000,
                ),
                held_from=12,
            ),
        ),
        "welcome": (
            "The session is open.",
            Welcome(
                session_id=SESSION,
                boot_id=0x7EDCBA9876543210,
                resume_from=0,
                plans_known=[0, 3],
                credit_until=16,
                credit_bytes=1_048_576,
                max_frame_bytes=65_536,
                max_plan_bytes=67_108_864,
                model="pushpull",
                model_sha256="ab" * 32,
                provider="CPUExecutionProvider",
                policies=["uncertainty"],
                recording=True,
                features=["problems"],
            ),
        ),
        "refuse": (
            "The session is not opened.",
            Refuse(code="session_exists", reason="A session called first is open.", mend="Choose another name."),
        ),
        "ack": (
            "Frames 0 to 6 and 9 are here, 0 to 3 on the disk; 7 and 8 are missing.",
            Ack(session_id=SESSION, received_upto=7, durable_upto=4, credit_until=24, holes=[(7, 9)]),
        ),
        "ack_awaits": (
            "A proposal was made from frames 0 to 3, and awaits an operator's approval.",
            Ack(session_id=SESSION, received_upto=4, durable_upto=4, credit_until=20, awaits=Awaits.APPROVAL.value),
        ),
        "nack": (
            "Frame 5 was damaged on its way.",
            Nack(session_id=SESSION, code=NackCode.CHECKSUM, reason="Damaged.", mend="Send the frame again.", seq=5),
        ),
        "proposal": (
            "A rescan of three points.",
            Proposal(
                session_id=SESSION,
                proposal_id=1,
                plan=patterns["points"],
                policy="uncertainty",
                reason="Three pixels are uncertain.",
                based_on_frames=4,
                dose_e_per_nm2=0.125,
                duration_ns=2130,
                sigma_now=2.0,
                sigma_expected=1.5,
                expires_unix_ns=1_900_000_000_000_000_000,
            ),
        ),
        "enough": (
            "Four passes were enough; the beam current is not known.",
            Enough(
                session_id=SESSION,
                code=EnoughCode.TARGET,
                reason="Sigma is small enough.",
                based_on_frames=4,
                passes=4,
                sigma_now=0.75,
                sigma_of_range=0.03125,
                dose_e_per_nm2=float("nan"),
            ),
        ),
        "executed": (
            "It was run, as plan 4.",
            Executed(session_id=SESSION, proposal_id=1, status=ExecutedStatus.ACCEPTED, plan_id=4),
        ),
        "problem": (
            "An image detector has sent three images of another size; nothing stands.",
            Problem(
                session_id=SESSION,
                code="wrong_size",
                text="Three images are of 16 × 8 pixels, the others of 8 × 8.",
                mend="Leave the detector's region as it is while a series runs.",
                count=3,
                points=3,
                since_unix_ns=1_700_000_000_123_456_789,
            ),
        ),
        "problem_full": (
            "A PROBLEM with every key, none at its default; the session id 0 says that it concerns none.",
            Problem(
                session_id=0,
                code="no_instrument",
                text="No detector answers.",
                mend="Switch it on.",
                level=ProblemLevel.ERROR,
                count=12,
                points=1,
                since_unix_ns=1_700_000_000_123_456_789,
                stands=True,
                cleared=True,
                client="golden",
            ),
        ),
        "command": ("An operator pressed stop.", Command(session_id=SESSION, action="stop", by="operator")),
        "command_start": (
            "An operator has started a session that waited for it.",
            Command(session_id=SESSION, action="start", by="operator"),
        ),
        "end": (
            "Two frames were sent, with payload checksums 1 and 2; one more was discarded by the client.",
            End(
                session_id=SESSION,
                count=2,
                dropped=1,
                checksum=xxhash.xxh3_64_intdigest(np.array([1, 2], "<u8").tobytes()),
                reason="stopped",
            ),
        ),
        "receipt": (
            "The account.",
            Receipt(
                session="first",
                session_id=SESSION,
                count=10,
                scanned=11,
                dropped_by_client=1,
                received=8,
                durable=5,
                unrecorded=3,
                rejected={"dtype": 1},
                gaps=1,
                missing=[(9, 10)],
                duplicates=2,
                conflicts=0,
                damaged=1,
                restored_in=8,
                restored_out=6,
                passed_through={"deadline": 1},
                dropped={"superseded": 1},
                live_in=3,
                live_out=2,
                live_dropped=1,
                proposals=2,
                approvals={"accepted": 1, "declined": 1},
                executed={"accepted": 1},
                enough="declined",
                dose_e_per_nm2=None,
                dose_max_e_per_nm2=None,
                budget_e_per_nm2=None,
                checksum_matches=False,
                recording="first",
                recorded_from=3,
                delivery="received",
                reason="finished",
                balanced=True,
            ),
        ),
        **{
            f"plan_{name}": (f"A plan: {name.replace('_', ' ')}.", Plan(session_id=SESSION, plan_id=number, plan=plan))
            for number, (name, plan) in enumerate(patterns.items())
        },
    }


def headers() -> dict[str, tuple[str, FrameHeader | RestoredHeader]]:
    """The binary headers."""
    return {
        "frame_header": (
            "The first part of a FRAME of two channels and four points; frame_payload is the second.",
            FrameHeader(
                session_id=SESSION,
                seq=258,
                plan_id=3,
                pass_index=2,
                first_point=16,
                points=4,
                channels=2,
                dtype="uint16",
                flags=FrameFlag.END_OF_PASS,
                dropped_before=5,
                acquired_unix_ns=1_700_000_000_123_456_789,
                payload_bytes=len(PAYLOAD),
                payload_xxh3=xxh3(PAYLOAD),
            ),
        ),
        "restored_header": (
            "The first part of a RESTORED: restored, with sigma; estimate and sigma are parts two and three.",
            RestoredHeader(
                session_id=SESSION,
                seq=258,
                pass_index=2,
                shape=(2, 3),
                dtype="float32",
                flags=RestoredFlag.RESTORED | RestoredFlag.HAS_SIGMA | RestoredFlag.END_OF_PASS,
                frames_included=9,
                acquired_unix_ns=1_700_000_000_123_456_789,
                queue_ns=1000,
                restore_ns=2_500_000,
                service_ns=3_000_000,
                dose_e_per_nm2=12.5,
                sigma_mean=0.5,
                coverage=0.25,
                electrons_per_unit=1.0,
                model_sha256=bytes(range(32)),
                model="pushpull",
                provider="CPUExecutionProvider",
                estimate_xxh3=xxh3(ESTIMATE),
                sigma_xxh3=xxh3(SIGMA),
            ),
        ),
        "passed_header": (
            "The first part of a RESTORED that passes samples through; frame_payload is the second part.",
            RestoredHeader(
                session_id=SESSION,
                seq=258,
                pass_index=2,
                shape=(2, 4),
                dtype="uint16",
                flags=RestoredFlag.END_OF_PASS,
                reason=PassReason.DEADLINE,
                frames_included=1,
                queue_ns=250_000_000,
                service_ns=250_000_000,
                estimate_xxh3=xxh3(PAYLOAD),
            ),
        ),
    }


def readable(value: Any) -> Any:
    """A decoded value for JSON: bytes as hex, NaN and infinity as words, numbers above 2**53 as text."""
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [readable(item) for item in value]
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 53:
        return str(int(value))
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def header_values(header: FrameHeader | RestoredHeader) -> dict[str, Any]:
    """The values of a header by name."""
    return {name: getattr(header, name) for name in header.__slots__}


def golden() -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Bytes by name, and the index."""
    files: dict[str, bytes] = {}
    index: list[dict[str, Any]] = []

    def add(name: str, kind: str, what: str, data: bytes, **more: Any) -> None:
        files[name] = data
        index.append(
            {"name": name, "kind": kind, "what": what, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            | more
        )

    for name, (what, header) in headers().items():
        kind = "FRAME header" if isinstance(header, FrameHeader) else "RESTORED header"
        add(name, kind, what, header.pack(), values=readable(header_values(header)))
    for name, what, data in (
        ("frame_payload", "uint16 samples [[0, 1, 2, 3], [100, 200, 300, 65535]].", PAYLOAD),
        ("estimate", "float32 0 to 5, shape (2, 3).", ESTIMATE),
        ("sigma", "float32 0.5, shape (2, 3).", SIGMA),
    ):
        add(name, "payload", what, data, values={"xxh3": str(xxh3(data))})
    for name, (what, message) in control().items():
        data = encode(message)
        more: dict[str, Any] = {"values": readable(msgspec.msgpack.decode(data))}
        if isinstance(message, Plan):
            pixels = np.ascontiguousarray(message.plan.pixels, "<i4")
            more["expanded"] = {
                "points": int(pixels.size),
                "first_pixels": pixels[:8].tolist(),
                "pixels_xxh3": str(xxh3(pixels.tobytes())),
                "total_dwell_ns": message.plan.total_dwell_ns,
            }
        add(name, type(message).__name__.upper(), what, data, **more)
    return files, index


def main() -> None:
    """Write the files."""
    files, index = golden()
    for name, data in files.items():
        (HERE / f"{name}.bin").write_bytes(data)
    (HERE / "index.json").write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
