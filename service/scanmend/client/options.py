"""What a session can be asked for, in one place for both clients."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from scanmend._version import __version__
from scanmend.errors import InvalidInput
from scanmend.field import Capabilities, Channel, Field
from scanmend.target import Target
from scanmend.wire.messages import Decider, Delivery, Hello, Mode, Returns, check_session_name


class SessionOptions(TypedDict, total=False):
    """Options of `Client.session` and `AsyncClient.session`, all with a default."""

    channels: Sequence[Channel]
    """Detector signals of a frame, all of one sample type; default: one counting channel SE of uint16."""
    restore_channel: str | None
    """Which channel is restored; default: the first."""
    mode: Literal["frames", "exposure"]
    """`frames` (default): every pass is a picture of its own; `exposure`: passes add up."""
    delivery: Literal["durable", "received"]
    """When a frame may be forgotten here: when it is on the service's disk (default), or in its memory."""
    record: bool
    """Whether the service keeps the frames; default True. Durable delivery needs it."""
    returns: Literal["none", "estimate", "estimate+sigma"]
    """What comes back for each frame; default `estimate+sigma`."""
    deadline_ms: int
    """Longest wait for a restoration, after which a frame is passed through; default 0: waits."""
    model: str
    """A name from the catalogue; default `auto`."""
    dose_budget_e_per_nm2: float | None
    """Largest dose, averaged over the field, that proposals may bring the session to; default: none."""
    pixel_dose_budget_e_per_nm2: float | None
    """Largest dose that proposals may bring any pixel to; default: none."""
    pixel_dose_rate_e_per_nm2_s: float | None
    """Largest dose rate of any pixel over a proposed plan's whole time; default: none."""
    rescan: str | None
    """Rescan policy: `auto` for the service's best, or a name of `welcome.policies`; default None: no proposals."""
    approval: Literal["microscope", "operator"]
    """Who decides on a proposal: you alone (default), or first an operator, on the service's page."""
    start: Literal["microscope", "operator"]
    """Who starts the session: you (default), or an operator; then `wait_for_start` before the first frame."""
    target: Target | None
    """When an adaptive scan is good enough, or not worth another pass; default: only a budget ends it."""
    capabilities: Capabilities | None
    """What the instrument can run; proposals keep to it."""
    unread: int
    """Most answers kept unread; default 64."""
    when_unread: Literal["hold", "drop_oldest"]
    """What happens beyond that: sending is held (default), or the oldest answer is dropped and counted."""
    ring_bytes: int
    """Most bytes kept for resending; default 1 GiB. Sending is held above it."""
    verify: bool
    """Whether the checksums of answers are compared; default True."""
    hold_timeout_s: float
    """Longest wait for credit in a send before an error says why; default 60 s."""
    give_up_s: float
    """Silence of the service in an open session after which a call gives up; default 30 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSetup:
    """A checked set of options."""

    hello: Hello
    unread: int
    drop_oldest: bool
    ring_bytes: int
    verify: bool
    hold_timeout_s: float
    give_up_s: float


def session_setup(name: str, field: Field, options: SessionOptions, program: str = "") -> SessionSetup:
    """Check the options of a session and make its HELLO.

    Args:
        name: Of the session.
        field: The area being imaged.
        options: What was asked for.
        program: What the client is, for people.

    Raises:
        InvalidInput: An option that cannot be, or options that contradict each other.
    """
    unknown = set(options) - set(SessionOptions.__annotations__)
    if unknown:
        raise InvalidInput(
            f"A session has no option {', '.join(sorted(unknown))}.",
            mend=f"Use {', '.join(SessionOptions.__annotations__)}.",
        )
    check_session_name(name)
    channels = tuple(options.get("channels") or (Channel(name="SE"),))
    restore_channel = options.get("restore_channel")
    if restore_channel is not None and restore_channel not in [channel.name for channel in channels]:
        raise InvalidInput(
            f"No channel is called {restore_channel!r}.", mend="Name one of the session's channels in restore_channel."
        )
    record = options.get("record", True)
    try:
        mode = Mode(options.get("mode", "frames"))
        # Without a recording nothing can be durable, so the default follows `record`.
        delivery = Delivery(options.get("delivery", "durable" if record else "received"))
        returns = Returns(options.get("returns", "estimate+sigma"))
        approval = Decider(options.get("approval", "microscope"))
        start = Decider(options.get("start", "microscope"))
    except ValueError as error:
        raise InvalidInput(f"{error}.", mend="See SessionOptions for the words that can be used.") from error
    if delivery is Delivery.DURABLE and not record:
        raise InvalidInput(
            "A session that is not recorded cannot have durable delivery.",
            mend="Give record=True, or delivery='received'.",
        )
    when_unread = options.get("when_unread", "hold")
    if when_unread not in ("hold", "drop_oldest") or options.get("unread", 64) < 1:
        raise InvalidInput(
            f"unread={options.get('unread', 64)} and when_unread={when_unread!r} cannot be.",
            mend="Keep at least one answer, and 'hold' or 'drop_oldest' beyond that.",
        )
    hello = Hello(
        session=name,
        session_id=secrets.randbelow((1 << 63) - 1) + 1,
        client=program or f"scanmend-python {__version__}",
        field=field,
        channels=channels,
        restore_channel=restore_channel,
        mode=mode,
        delivery=delivery,
        record=record,
        start=start,
        returns=returns,
        deadline_ms=options.get("deadline_ms", 0),
        model=options.get("model", "auto"),
        dose_budget_e_per_nm2=options.get("dose_budget_e_per_nm2"),
        pixel_dose_budget_e_per_nm2=options.get("pixel_dose_budget_e_per_nm2"),
        pixel_dose_rate_e_per_nm2_s=options.get("pixel_dose_rate_e_per_nm2_s"),
        rescan=options.get("rescan"),
        approval=approval,
        target=options.get("target") or Target(),
        capabilities=options.get("capabilities") or Capabilities(),
    )
    return SessionSetup(
        hello=hello,
        unread=options.get("unread", 64),
        drop_oldest=when_unread == "drop_oldest",
        ring_bytes=options.get("ring_bytes", 1 << 30),
        verify=options.get("verify", True),
        hold_timeout_s=options.get("hold_timeout_s", 60.0),
        give_up_s=options.get("give_up_s", 30.0),
    )
