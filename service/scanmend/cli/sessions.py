"""`scanmend sessions`: which recordings there are, what they miss, and what people say of them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from scanmend.cli import EXIT_FAILED
from scanmend.cli.serve import settings_from
from scanmend.cli.sessions_text import details, pruned, table, totals
from scanmend.errors import InvalidInput, ScanmendError
from scanmend.record import SessionFolder, scan
from scanmend.sessions import (
    Catalogue,
    Limits,
    Query,
    SessionState,
    SessionSummary,
    add_note,
    change_tags,
    find_session,
    note_export,
    prune,
    removals,
)
from scanmend.sessions.recovery import close_session
from scanmend.sessions.survey import read_receipt
from scanmend.sessions.words import count_text, parse_size_bytes, parse_span, parse_time_ns, size_text, time_text
from scanmend.settings import Settings

HELP = "List the recorded sessions, show and tag them, close one that was cut off, make room."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the words; without one, sessions are listed."""
    _everywhere(parser, default=None)
    _filters(parser, hide=False)
    words = parser.add_subparsers(dest="word", metavar="list|show|tag|note|exported|close|prune|removed|rebuild")
    listing = words.add_parser("list", help="a line a session, the newest first, with what it misses")
    _filters(listing, hide=True)
    show = words.add_parser("show", help="everything about one session, and its receipt")
    show.add_argument("name")
    show.add_argument("--check", action="store_true", help="read every byte of the journal and check it")
    tag = words.add_parser("tag", help="add tags with +TAG, take them away with -TAG")
    note = words.add_parser("note", help="add a remark")
    note.add_argument("name")
    note.add_argument("text")
    exported = words.add_parser("exported", help="say that a file holds the session, so that it may be pruned")
    exported.add_argument("name")
    exported.add_argument("file", type=Path)
    close = words.add_parser("close", help="give a session that was cut off its receipt")
    close.add_argument("name")
    close.add_argument(
        "--beside-service", action="store_true", help="although a service runs: one that does not hold the session"
    )
    room = words.add_parser("prune", help="remove the oldest exported sessions; never one that is tagged keep")
    room.add_argument("--bytes", dest="most_bytes", metavar="SIZE", help="room that all may take, such as 100GB")
    room.add_argument("--days", dest="most_days", type=float, help="age from which a session may go")
    room.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    room.add_argument("--even-unexported", action="store_true", help="also those that were not exported")
    gone = words.add_parser("removed", help="what was removed to make room, when, why, and where its export is")
    rebuild = words.add_parser("rebuild", help="read every recording again, and make the catalogue anew")
    for part in (listing, show, tag, note, exported, close, room, gone, rebuild):
        _everywhere(part, default=argparse.SUPPRESS)
    tag.add_argument("name")
    tag.add_argument("changes", nargs=argparse.REMAINDER, metavar="+TAG|-TAG")


def _everywhere(parser: argparse.ArgumentParser, *, default: Any) -> None:
    parser.add_argument("--data-dir", type=Path, default=default, help="the service's folder (scanmend-data)")
    flag = default if default is argparse.SUPPRESS else False
    parser.add_argument("--json", action="store_true", default=flag, help="print one JSON document")


def _filters(parser: argparse.ArgumentParser, *, hide: bool) -> None:
    """What sessions must have in common; a word's own default must not undo what stands before it."""
    default: Any = argparse.SUPPRESS if hide else None
    parser.add_argument("--since", default=default, metavar="DATE", help="begun then or later: 2026-03-31, today")
    parser.add_argument("--until", default=default, metavar="DATE", help="begun then or earlier, that day included")
    parser.add_argument("--field-nm", default=default, metavar="FROM:TO", help="longer side of the field: 100:500")
    parser.add_argument("--dose-max", default=default, type=float, metavar="DOSE", help="most mean dose in e/nm²")
    parser.add_argument("--model", default=default, help="that restored, or was asked for")
    parser.add_argument("--tag", default=default)
    parser.add_argument("--state", default=default, choices=[state.value for state in SessionState])
    parser.add_argument("--text", default=default, metavar="WORDS", help="all in name, client, policy, tags or notes")
    flag = default if hide else False
    parser.add_argument("--rebuild", action="store_true", default=flag, help="make the catalogue anew first")


def run(arguments: argparse.Namespace) -> int:
    """Do what the word says."""
    settings = settings_from(argparse.Namespace(data_dir=arguments.data_dir))
    match arguments.word:
        case "show":
            return _show(settings, arguments)
        case "tag":
            return _tag(settings, arguments)
        case "note":
            add_note(settings.data_dir, arguments.name, arguments.text)
            return _say(settings, arguments, f"Noted on {arguments.name}.")
        case "exported":
            note_export(settings.data_dir, arguments.name, arguments.file)
            return _say(settings, arguments, f"{arguments.file} is noted as an export of {arguments.name}.")
        case "close":
            return _close(settings, arguments)
        case "prune":
            return _prune(settings, arguments)
        case "removed":
            return _removed(settings, arguments)
        case word:
            return _list(settings, arguments, rebuild=word == "rebuild" or arguments.rebuild)


def _query(arguments: argparse.Namespace) -> Query:
    return Query(
        since_unix_ns=parse_time_ns(arguments.since) if arguments.since else None,
        until_unix_ns=parse_time_ns(arguments.until, end=True) if arguments.until else None,
        field_nm=parse_span(arguments.field_nm) if arguments.field_nm else None,
        dose_max_e_per_nm2=arguments.dose_max,
        model=arguments.model or "",
        tag=arguments.tag or "",
        state=SessionState(arguments.state) if arguments.state else None,
        text=arguments.text or "",
    )


def _list(settings: Settings, arguments: argparse.Namespace, *, rebuild: bool) -> int:
    query = _query(arguments)
    with Catalogue(settings.data_dir, rebuild=rebuild) as catalogue:
        sessions = catalogue.refresh()
        found = [session for session in sessions if query.matches(session)]
    _remark(catalogue)
    if arguments.json:
        document = {
            "data_dir": str(settings.data_dir.resolve()),
            "of": len(sessions),
            "read_again": catalogue.read_again,
            "remarks": catalogue.remarks,
            "sessions": [msgspec.to_builtins(session) for session in found],
        }
        print(json.dumps(document, ensure_ascii=False))
        return 0
    if found:
        print(table(found))
    print(totals(found, len(sessions)), file=sys.stderr)
    return 0


def _show(settings: Settings, arguments: argparse.Namespace) -> int:
    with Catalogue(settings.data_dir) as catalogue:
        session = catalogue.find(arguments.name)
    _remark(catalogue)
    path = find_session(settings.data_dir, arguments.name)
    receipt = None
    if session.ended:
        try:
            with SessionFolder.open(path) as folder:
                receipt = read_receipt(folder)
        except ScanmendError:
            receipt = None  # `misses` says so already
    checked = _check(path) if arguments.check else None
    if arguments.json:
        document = {"session": msgspec.to_builtins(session), "path": str(path.resolve())}
        document |= {"receipt": msgspec.to_builtins(receipt), "check": checked}
        print(json.dumps(document, ensure_ascii=False))
    else:
        print(details(session))
        print(f"{'Folder':<24}{path.resolve()}")
        if receipt is not None:
            print("\nThe receipt")
            for name, value in msgspec.to_builtins(receipt).items():
                if name != "type" and value not in ("", None, {}, []):
                    print(f"  {name:<22}{_plain(value)}")
        if checked is not None:
            print(f"\nEvery byte was read: {checked['text']}")
    return 0 if checked is None or checked["whole"] else EXIT_FAILED


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{number} {word}" for word, number in value.items())
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return str(value)


def _check(path: Path) -> dict[str, Any]:
    with scan(path) as journal:
        report = journal.report
    damages = [f"segment {d.segment}, byte {d.offset}: {d.entries} entries" for d in report.damages if d.entries]
    torn = report.tail.torn_bytes
    text = f"{count_text(report.entries, 'entry', 'entries')} are whole, {report.entries_lost} are lost"
    text += f" ({'; '.join(damages)})" if damages else ""
    text += f", {torn} bytes of an unfinished one at the end" if torn else ""
    return {
        "entries": report.entries,
        "entries_lost": report.entries_lost,
        "torn_bytes": torn,
        "whole": report.entries_lost == 0,
        "text": text + ".",
    }


def _tag(settings: Settings, arguments: argparse.Namespace) -> int:
    words = [word for word in arguments.changes if word != "--"]
    if not words or any(word[:1] not in ("+", "-") for word in words):
        raise InvalidInput(
            "Each tag needs a + or a - before it.",
            mend=f"scanmend sessions tag {arguments.name} +good -to-do; options such as --data-dir go before the name.",
        )
    add = tuple(word[1:] for word in words if word[0] == "+")
    remove = tuple(word[1:] for word in words if word[0] == "-")
    about = change_tags(settings.data_dir, arguments.name, add=add, remove=remove)
    return _say(settings, arguments, f"{arguments.name}: {', '.join(about.tags) or 'no tags'}")


def _close(settings: Settings, arguments: argparse.Namespace) -> int:
    receipt = close_session(settings, arguments.name, beside_service=arguments.beside_service)
    kept = f"{receipt.durable} of {count_text(receipt.count, 'frame')}"
    return _say(settings, arguments, f"{arguments.name} is closed with {kept}, {receipt.gaps} missing.")


def _prune(settings: Settings, arguments: argparse.Namespace) -> int:
    limits = Limits(
        most_bytes=settings.retention_bytes if arguments.most_bytes is None else parse_size_bytes(arguments.most_bytes),
        most_days=settings.retention_days if arguments.most_days is None else arguments.most_days,
    )
    if limits.most_bytes is None and limits.most_days is None:
        raise InvalidInput(
            "No limit was given, so nothing is removed.",
            mend="Give --bytes or --days, or set SCANMEND_RETENTION_BYTES or SCANMEND_RETENTION_DAYS.",
        )
    report = prune(
        settings.data_dir,
        limits,
        time.time_ns(),
        dry_run=arguments.dry_run,
        even_unexported=arguments.even_unexported,
    )
    if arguments.json:
        print(json.dumps({"dry_run": arguments.dry_run, **msgspec.to_builtins(report)}, ensure_ascii=False))
    else:
        print(pruned(report, dry_run=arguments.dry_run))
    return EXIT_FAILED if report.failed else 0


def _removed(settings: Settings, arguments: argparse.Namespace) -> int:
    found = removals(settings.data_dir)
    if arguments.json:
        print(json.dumps({"removed": msgspec.to_builtins(found)}, ensure_ascii=False))
        return 0
    for each in found:
        frames, size = count_text(each.frames, "frame"), size_text(each.size_bytes)
        print(f"{time_text(each.unix_ns)}  {each.name}, {frames}, {size}: {each.why} By the {each.by}.")
        for path in each.exports:
            print(f"    {path}{'' if Path(path).is_file() else ' (not there any more)'}")
    print(f"{count_text(len(found), 'recording')} removed", file=sys.stderr)
    return 0


def _say(settings: Settings, arguments: argparse.Namespace, text: str) -> int:
    """Print what was done; as JSON, the session as it is now."""
    if not arguments.json:
        print(text)
        return 0
    with Catalogue(settings.data_dir) as catalogue:
        session: SessionSummary = catalogue.find(arguments.name)
    print(json.dumps({"session": msgspec.to_builtins(session)}, ensure_ascii=False))
    return 0


def _remark(catalogue: Catalogue) -> None:
    for remark in catalogue.remarks:
        print(f"scanmend: {remark}", file=sys.stderr)
