"""Each question about sessions, and that what is not known matches none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from recordings import BEGAN_NS, record
from scanmend.sessions import Catalogue, Note, Query, SessionState, SessionSummary


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> SessionSummary:
    data_dir: Path = tmp_path_factory.mktemp("query")
    record(data_dir, "Gold-1", client="column 3", rescan="variance", mode="exposure", model="auto")
    with Catalogue(data_dir) as catalogue:
        found = catalogue.find("Gold-1")
    note = Note(unix_ns=1, text="drift after Pass 3, Süßmilch")
    return msgspec.structs.replace(found, tags=("keep", "au"), notes=(note,), dose_e_per_nm2=100.0)


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        (Query(), True),
        (Query(since_unix_ns=BEGAN_NS), True),
        (Query(since_unix_ns=BEGAN_NS + 1), False),
        (Query(until_unix_ns=BEGAN_NS), True),
        (Query(until_unix_ns=BEGAN_NS - 1), False),
        (Query(field_nm=(30, 40)), True),
        (Query(field_nm=(33, 40)), False),
        (Query(dose_max_e_per_nm2=100), True),
        (Query(dose_max_e_per_nm2=99.9), False),
        (Query(model="pushpull"), True),
        (Query(model="auto"), True),
        (Query(model="push"), False),
        (Query(tag="au"), True),
        (Query(tag="a"), False),
        (Query(state=SessionState.ENDED), True),
        (Query(state=SessionState.OPEN), False),
        (Query(text="gold COLUMN variance keep"), True),
        (Query(text="pass süssmilch se"), True),
        (Query(text="gold silver"), False),
        (Query(tag="keep", text="drift", model="pushpull", field_nm=(0, 100)), True),
    ],
)
def test_questions(session: SessionSummary, query: Query, matches: bool) -> None:
    assert query.matches(session) is matches


@pytest.mark.parametrize(
    ("unknown", "query"),
    [
        ("start_unix_ns", Query(since_unix_ns=0)),
        ("start_unix_ns", Query(until_unix_ns=1 << 62)),
        ("dose_e_per_nm2", Query(dose_max_e_per_nm2=1e9)),
        ("pixel_size_nm", Query(field_nm=(0, float("inf")))),
    ],
)
def test_what_is_not_known_matches_no_question(session: SessionSummary, unknown: str, query: Query) -> None:
    assert query.matches(session)
    assert not query.matches(msgspec.structs.replace(session, **{unknown: None}))
