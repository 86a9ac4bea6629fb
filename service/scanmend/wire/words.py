"""The words of the control messages: codes, states, and the numbers that they hold."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import msgspec

from scanmend.errors import InvalidInput

SESSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
"""What a session may be called; the name is also a folder's, so `..` is refused too."""

PROBLEM_CODE = r"^[a-z][a-z0-9_]{0,31}\Z"
"""What a client may call a kind of problem: it is counted under this word."""

MAX_PROBLEM_TEXT = 600
"""Most characters of a problem's sentence, and of its mend."""

MOST_COUNTED = 1 << 48
"""Most problems of a kind, or points of it, that a client may count."""

U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
U63 = Annotated[int, msgspec.Meta(ge=0)]


class Mode(StrEnum):
    """What passes over the same field mean."""

    FRAMES = "frames"
    """Every pass is a picture of its own: live views and movies."""
    EXPOSURE = "exposure"
    """Passes add up: adaptive scans."""


class Delivery(StrEnum):
    """When the client may forget a frame."""

    RECEIVED = "received"
    """When the service has it in memory: a crash of the service may lose what it had not restored yet."""
    DURABLE = "durable"
    """When it is on the disk."""


class Returns(StrEnum):
    """What RESTORED carries."""

    NONE = "none"
    """Nothing is sent back."""
    ESTIMATE = "estimate"
    """The estimate."""
    ESTIMATE_SIGMA = "estimate+sigma"
    """The estimate and its standard deviation."""


class Decider(StrEnum):
    """Who decides on something: on the start of a session, or on a proposal."""

    MICROSCOPE = "microscope"
    """The client by itself."""
    OPERATOR = "operator"
    """A person, from the service's page or API; until then the client waits."""


class Awaits(StrEnum):
    """What a client waits for that only an operator can give."""

    NOTHING = ""
    START = "start"
    """The session was opened, and nobody has started it."""
    APPROVAL = "approval"
    """A proposal was made, and nobody has accepted or declined it."""


class RefuseCode(StrEnum):
    """Why a HELLO was refused."""

    VERSION = "version"
    MALFORMED = "malformed"
    SESSION_NAME = "session_name"
    SESSION_EXISTS = "session_exists"
    SESSION_ENDED = "session_ended"
    TOO_MANY_SESSIONS = "too_many_sessions"
    FIELD = "field"
    CHANNELS = "channels"
    POLICY = "policy"
    MODEL = "model"
    RECORDING = "recording"
    BUDGET = "budget"


class NackCode(StrEnum):
    """Why a frame, a plan or a message was not taken."""

    NO_SESSION = "no_session"
    """The service does not know the session (it may have been started again): say HELLO again, then resend."""
    CHECKSUM = "checksum"
    """Damaged on the way: resend."""
    MALFORMED = "malformed"
    """Not a message of this protocol."""
    VERSION = "version"
    """Of another protocol version."""
    OVERSIZE = "oversize"
    """Above the agreed size."""
    UNKNOWN_PLAN = "unknown_plan"
    """The frame names a plan that was not sent: send the plan, then resend."""
    BAD_PLAN = "bad_plan"
    """The plan cannot be run on this field, or its id has another plan already."""
    BEYOND_PLAN = "beyond_plan"
    """The frame has points that its plan does not have. The frame is rejected."""
    DTYPE = "dtype"
    """Another sample type or number of channels than the session announced. The frame is rejected."""
    CONFLICT = "conflict"
    """The same sequence number came before with other samples; the first is kept."""
    CREDIT = "credit"
    """Sent beyond the credit: resend when there is some."""
    NOT_FINITE = "not_finite"
    """The samples hold NaN or infinity; recorded, but not restored."""
    RECORDING_FAILED = "recording_failed"
    """Nothing can be recorded any more; see the mend. The session takes no more frames."""
    ENDED = "ended"
    """The session has ended."""
    UNKNOWN_PROPOSAL = "unknown_proposal"
    """No such proposal is open."""


RETRIABLE = frozenset({NackCode.NO_SESSION, NackCode.CHECKSUM, NackCode.UNKNOWN_PLAN, NackCode.CREDIT})
"""After these the client sends the frame again; after others it must not."""


class Feature(StrEnum):
    """What a service knows beyond the first edition of this version, named in WELCOME."""

    PROBLEMS = "problems"
    """It takes PROBLEM."""


class ProblemLevel(StrEnum):
    """How bad a problem is that a client reports."""

    WARNING = "warning"
    """The scan goes on; something of it may be missing."""
    ERROR = "error"
    """Somebody must do something."""


class EnoughCode(StrEnum):
    """Why no further plan is proposed."""

    TARGET = "target"
    """The picture is as certain as HELLO's target asks."""
    PASSES = "passes"
    """The target's most passes are done."""
    BUDGET = "budget"
    """What is left of a dose budget is not worth a pass."""
    GAIN = "gain"
    """Another pass would lower sigma by less than the target's least gain."""
    LIMITS = "limits"
    """No plan that is worth its dose keeps to the instrument's limits and to the dose rate."""
    INCOMPLETE = "incomplete"
    """Not all that was scanned is known, so no plan could be sure to keep to the budget."""
    FADING = "fading"
    """The signal falls from pass to pass: the specimen changes under the beam."""
    FAILED = "failed"
    """The next plan could not be made; the service's log and page say why."""
    DECLINED = "declined"
    """An operator declined the plan that was proposed."""
    UNANSWERED = "unanswered"
    """No operator accepted or declined the plan that was proposed before it expired."""


class Approval(StrEnum):
    """What became of a proposal that needed an operator's approval."""

    ACCEPTED = "accepted"
    """It was passed on to the client."""
    DECLINED = "declined"
    """The client was told that it is enough."""
    EXPIRED = "expired"
    """Nobody said anything in time; the client was told that it is enough."""
    SUPERSEDED = "superseded"
    """A proposal that was made later took its place."""


class ExecutedStatus(StrEnum):
    """What the client did with a proposal."""

    ACCEPTED = "accepted"
    """It is run as it was proposed, or within the instrument's rounding; `plan_id` names the plan really run."""
    CHANGED = "changed"
    """Something else is run in its place; `plan_id` names it."""
    DECLINED = "declined"
    """It is not run."""
    EXPIRED = "expired"
    """It came too late to be run."""


def check_session_name(name: str) -> str:
    """Give a session's name back if it may be one.

    Raises:
        InvalidInput: It may not.
    """
    if not SESSION_NAME.match(name) or ".." in name:
        raise InvalidInput(
            f"{name!r} cannot be the name of a session.",
            mend="Use 1 to 64 letters, digits, '_', '.' and '-', begin with a letter or digit, and avoid '..'.",
        )
    return name
