"""Every error that Scanmend raises on purpose, as one tree.

Each error says what is wrong and, in `mend`, what the reader can do about it::

    ScanmendError
    ├── InvalidInput (also a ValueError)      a value that the caller gave cannot be used
    │   ├── PlanError                         a scan plan that cannot be run on its field
    │   └── ExposureError                     samples that do not fit their exposure
    ├── ProtocolError                         bytes or messages that break the native protocol
    │   ├── MalformedMessage                  not a message of this protocol
    │   ├── UnsupportedVersion                another version of it
    │   ├── ChecksumMismatch                  damaged on the way
    │   └── OversizeMessage                   larger than the agreed limit
    ├── ConnectionProblem                     the service cannot be used from here
    │   ├── NotConnected                      nobody answers
    │   └── SessionRefused                    the service answered, and said no
    ├── SessionProblem                        a session that cannot go on
    │   ├── SessionClosed                     used after its end
    │   ├── SessionPaused                     it waits for longer than the caller would
    │   └── FrameRejected                     a frame that the service will never take
    ├── RecordingError                        the journal or a recording
    │   ├── RecordingFull                     no room left
    │   ├── RecordingNotWritable              the folder cannot be written
    │   └── DamagedRecording                  bytes on disk that fail their checksum
    ├── ExportError                           a file for other programs cannot be written
    ├── InstrumentError                       another maker's instrument said no
    │   └── DamagedFile                       a file that is replayed ends in the middle
    ├── ModelError                            a restoration model
    │   ├── ModelNotFound                     no such name in the catalogue
    │   ├── ModelCorrupt                      the file is not the one in the manifest
    │   ├── ModelFailedSelfTest               loads, but does not give its golden answer
    │   └── RuntimeUnavailable                no runtime can execute it here
    └── ConfigurationError                    settings or installation
        ├── MissingExtra                      an optional package is not installed
        └── PortInUse                         another program has the address
"""

from __future__ import annotations


class ScanmendError(Exception):
    """The root of the tree.

    Args:
        message: What is wrong, in one sentence.
        mend: What the reader can do about it, in one sentence; empty where nothing helps.
    """

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        """Give the message, followed by the mend where there is one."""
        return f"{self.message} {self.mend}".rstrip()


class InvalidInput(ScanmendError, ValueError):
    """A value that the caller gave cannot be used."""


class PlanError(InvalidInput):
    """A scan plan that cannot be run on its field."""


class ExposureError(InvalidInput):
    """Samples that do not fit their exposure."""


class ProtocolError(ScanmendError):
    """Bytes or messages that break the native protocol."""


class MalformedMessage(ProtocolError):
    """Bytes that are not a message of this protocol."""


class UnsupportedVersion(ProtocolError):
    """A message of another protocol version."""


class ChecksumMismatch(ProtocolError):
    """A message that was damaged on its way."""


class OversizeMessage(ProtocolError):
    """A message larger than the agreed limit."""


class ConnectionProblem(ScanmendError):
    """The service cannot be used from here."""


class NotConnected(ConnectionProblem):
    """Nobody answers at the address."""


class SessionRefused(ConnectionProblem):
    """The service answered HELLO with REFUSE.

    Args:
        message: The reason, as the service gave it.
        code: The refusal's code, one of `scanmend.wire.messages.RefuseCode`.
        mend: What to change before the next try.
    """

    def __init__(self, message: str, *, code: str, mend: str = "") -> None:
        super().__init__(message, mend=mend)
        self.code = code


class SessionProblem(ScanmendError):
    """A session that cannot go on."""


class SessionClosed(SessionProblem):
    """A session was used after its end."""


class SessionPaused(SessionProblem):
    """A session waits, for credit, for its reader or for its receipt, for longer than the caller would.

    Args:
        message: What it waits for.
        mend: How to go on.
        points_sent: How many of the points of the samples that were given went out before, from the first; the same
            samples sent again go on behind them.
    """

    def __init__(self, message: str, *, mend: str = "", points_sent: int = 0) -> None:
        super().__init__(message, mend=mend)
        self.points_sent = points_sent


class FrameRejected(SessionProblem):
    """A frame that the service will never take.

    Args:
        message: The reason, as the service gave it.
        seq: The frame's sequence number.
        code: The reason's code.
        mend: What to change in the frames that follow.
    """

    def __init__(self, message: str, *, seq: int, code: str, mend: str = "") -> None:
        super().__init__(message, mend=mend)
        self.seq = seq
        self.code = code


class RecordingError(ScanmendError):
    """The journal or a recording."""


class RecordingFull(RecordingError):
    """No room is left for the recording."""


class RecordingNotWritable(RecordingError):
    """The recording folder cannot be written."""


class DamagedRecording(RecordingError):
    """Bytes on disk that fail their checksum."""


class ExportError(ScanmendError):
    """A file for other programs cannot be written."""


class InstrumentError(ScanmendError):
    """Another maker's instrument answered, and did not do what it was told."""


class DamagedFile(InstrumentError):
    """A file that is replayed ends in the middle, or cannot be unpacked there; what was read before is good."""


class ModelError(ScanmendError):
    """A restoration model."""


class ModelNotFound(ModelError):
    """No model of this name is in the catalogue."""


class ModelCorrupt(ModelError):
    """A model file is not the one that its manifest names."""


class ModelFailedSelfTest(ModelError):
    """A model loads but does not give its golden answer."""


class RuntimeUnavailable(ModelError):
    """No runtime on this machine can execute the model."""


class ConfigurationError(ScanmendError):
    """Settings or installation."""


class MissingExtra(ConfigurationError):
    """An optional package is not installed."""


class PortInUse(ConfigurationError):
    """Another program has the address."""
