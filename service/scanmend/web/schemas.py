"""What the API answers with. Times are seconds since 1970, numbers that JSON cannot hold exactly are strings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Member

from scanmend.ipc.console import Action
from scanmend.web.schemas_service import KeeperView


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Problem(_View):
    """An error, as RFC 9457 has it, with the mend."""

    type: str = Member(examples=["urn:scanmend:problem:token_wrong"])
    title: str = Member(examples=["Unauthorized"])
    status: int = Member(examples=[401])
    detail: str = Member(examples=["The token is not this service's."])
    mend: str = Member(description="What can be done about it.", examples=["Use the token in data_dir/access-token."])


class Health(_View):
    """The process is alive."""

    alive: Literal[True] = True
    version: str


class Reason(_View):
    """Why the service is not ready."""

    code: str = Member(examples=["engine_starting"])
    text: str = Member(examples=["The engine is loading its models."])
    mend: str = ""


class Readiness(_View):
    """Whether frames that come now would be recorded and restored."""

    ready: bool
    reasons: list[Reason]


class ProblemItem(_View):
    """Something an operator must know."""

    level: Literal["warning", "error"]
    code: str
    text: str
    mend: str
    since_unix_s: float
    session: str = Member(description="The session it concerns; empty where it concerns the service.")
    count: int
    reported_by: Literal["service", "microscope"] = Member(
        description="Whose word it is: the service's own, or the microscope's software's, which is passed on."
    )
    client: str = Member(description="What that software calls itself, where the problem concerns no session.")


class FieldView(_View):
    """The area being imaged."""

    shape: tuple[int, int] = Member(description="(ny, nx) in pixels.")
    pixel_size_nm: float
    rotation_deg: float
    beam_current_pa: float | None
    beam_energy_kev: float | None


class ChannelView(_View):
    """A detector signal."""

    name: str
    dtype: str
    kind: str
    units_per_electron: float | None
    offset_units: float = Member(description="Value that the detector gives without any electron.")
    saturation_units: float | None
    reference_dwell_ns: int = Member(description="Of an analogue detector: the dwell that its gain refers to.")


class AccountView(_View):
    """The account of every frame so far; final once the session has ended."""

    scanned: int
    received: int
    durable: int
    unrecorded: int = Member(description="Frames received before an operator had the recording begun.")
    restored: int
    passed_through: dict[str, int] = Member(description="Frames answered unrestored, by reason.")
    rejected: dict[str, int] = Member(description="Frames refused for good, by reason.")
    dropped: dict[str, int] = Member(description="Frames not restored by themselves, by policy.")
    dropped_by_client: int
    missing: int = Member(description="Sequence numbers that never came.")
    duplicates: int
    conflicts: int
    damaged: int
    live_in: int
    live_out: int
    live_dropped: int
    proposals: int
    approvals: dict[str, int] = Member(
        description="What became of proposals that needed an operator: accepted, declined, expired, superseded."
    )
    executed: dict[str, int]
    problems: dict[str, int] = Member(
        description="How often each kind of problem came that the microscope's software reported."
    )
    enough: str = Member(
        description="Why the last pass was followed by no proposal: target, passes, budget, gain, limits, incomplete, "
        "fading, failed, declined, unanswered; empty where that was not said."
    )
    recording: str
    recorded_from: int | None = Member(
        description="Where an operator had the recording begun: the first frame from which on it is whole."
    )
    delivery: str
    reason: str
    balanced: bool


class Dose(_View):
    """Electrons per square nanometre."""

    used_e_per_nm2: float | None = Member(description="Averaged over the field; null without a beam current.")
    most_e_per_nm2: float | None = Member(description="Of the pixel with the most.")
    budget_e_per_nm2: float | None = Member(description="What proposals may bring the session to now.")
    client_budget_e_per_nm2: float | None = Member(
        description="What the client named at first, above which nobody can put it."
    )


class Commanded(_View):
    """The last word of an operator to this session."""

    action: Action
    by: str
    at_unix_s: float


class SessionView(_View):
    """A session."""

    name: str
    session_id: str
    state: Literal["waiting", "open", "detached", "ending", "ended"] = Member(
        description="waiting: for an operator to start it. detached: the client is silent, and may come back."
    )
    client: str
    mode: Literal["frames", "exposure"]
    opened_unix_s: float
    field: FieldView
    channels: list[ChannelView]
    restore_channel: str
    model: str
    provider: str
    frames_per_s_in: float
    frames_per_s_out: float
    bytes_per_s_in: float
    latency_ms: dict[str, float] = Member(
        description="p50, p95 and p99 of the last frames.", examples=[{"p50": 11.2, "p95": 14.9, "p99": 21.0}]
    )
    queued: int
    picture_number: int
    coverage: float | None
    sigma_mean: float | None
    caution: str | None = Member(
        description="In what way the last frame was unlike those that its model was made for: empty where it was like "
        "them, null where nothing is known of them (a classical model).",
        examples=["0.4 % of the pixels are sampled, the model was trained on 1 % to 100 %"],
    )
    paused: str = Member(description="Why credit is held back; empty while it flows.")
    dose: Dose
    account: AccountView
    rescan: str | None = Member(description="The rescan policy in force; null where the client asked for none.")
    approval: Literal["microscope", "operator"] = Member(
        description="Whether the next proposal goes to the microscope at once, or waits for an operator."
    )
    proposal: dict[str, Any] | None = Member(
        description="The open proposal, without its plan. `awaits` says whose turn it is: operator or microscope."
    )
    enough: str = Member(description="Why no plan follows the last pass, in words; empty where that was not said.")
    commanded: Commanded | None


class SessionList(_View):
    """The sessions that the service knows, open ones first, newest first."""

    sessions: list[SessionView]


class EngineView(_View):
    """The engine."""

    state: Literal["starting", "ready", "down", "stuck"]
    starts: int = Member(description="How many engines have connected since the service started.")
    default_model: str
    policies: list[str]


class StatusView(_View):
    """Everything at a glance."""

    state: Literal["ready", "degraded", "unreachable"] = Member(
        description="degraded: something in `reasons` is amiss. unreachable: acquire does not answer; the rest is old."
    )
    reasons: list[Reason]
    age_s: float | None = Member(description="Age of what follows; null while nothing is known yet.")
    version: str
    boot_id: str
    started_unix_s: float
    address: str = Member(description="Where microscopes connect.")
    recordings: str
    disk_free_bytes: int
    engine: EngineView | None
    keeper: KeeperView | None = Member(description="null where none has said anything yet.")
    sessions: list[SessionView]
    problems: list[ProblemItem]
    refused: dict[str, int]
    junk: dict[str, int]
