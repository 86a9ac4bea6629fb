"""Recorded sessions: finding, describing, closing, replaying and pruning them. `docs/sessions.md` is the guide.

Closing (`recovery`), replaying (`replay`) and a service of one's own (`own_service`) stand on the processes of the
service and are imported by their own names, so that a process may import the rest.
"""

from __future__ import annotations

from scanmend.sessions.about import KEEP, About, Note, add_note, change_tags, note_export, read_about
from scanmend.sessions.catalogue import Catalogue
from scanmend.sessions.folders import find_session, services_on, session_folders
from scanmend.sessions.query import Query
from scanmend.sessions.removals import Removal, removals
from scanmend.sessions.retention import Limits, Pruned, PruneReport, choose, prune
from scanmend.sessions.summary import SessionState, SessionSummary

__all__ = [
    "KEEP",
    "About",
    "Catalogue",
    "Limits",
    "Note",
    "PruneReport",
    "Pruned",
    "Query",
    "Removal",
    "SessionState",
    "SessionSummary",
    "add_note",
    "change_tags",
    "choose",
    "find_session",
    "note_export",
    "prune",
    "read_about",
    "removals",
    "services_on",
    "session_folders",
]
