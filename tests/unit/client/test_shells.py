"""The blocking and the asyncio client over real sockets, against the reference service in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import numpy as np
import pytest

from chaos_proxy import ChaosProxy
from reference_service import ReferenceService, serving
from scanmend.client import AsyncClient, Client
from scanmend.errors import (
    FrameRejected,
    InvalidInput,
    NotConnected,
    PlanError,
    SessionClosed,
    SessionPaused,
    SessionRefused,
)
from scanmend.field import Channel, Field
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import Nack, NackCode, Proposal, encode

FIELD = Field(shape=(64, 80), pixel_size_nm=1.0)
IMAGE = np.arange(64 * 80, dtype=np.uint16).reshape(FIELD.shape)


def test_frames_go_and_come_back_as_pictures():
    with serving() as there, Client(there.address) as client:
        with client.session("pictures", FIELD) as session:
            for number in range(60):
                assert session.send(IMAGE + number) == number
                answer = session.receive()
                assert answer.seq == number and answer.restored and answer.model == "identity"
                np.testing.assert_array_equal(answer.image, IMAGE + number)
                assert answer.image.dtype == np.float32 and (answer.sigma == 1).all() and answer.round_trip_ms > 0
            assert session.receive() is None
            assert session.stats.in_ring == 0 and session.stats.durable_upto == 60
        receipt = session.receipt
        assert receipt.balanced and receipt.checksum_matches and receipt.reason == "finished"
        with pytest.raises(SessionClosed):
            session.send(IMAGE)


def test_iteration_ends_when_no_answer_is_owed():
    with serving() as there, Client(there.address) as client, client.session("iterate", FIELD) as session:
        for _ in range(10):
            session.send(IMAGE)
        assert [answer.seq for answer in session] == list(range(10))
        assert list(session) == []
        session.send(IMAGE)
        session.end()
        assert [answer.seq for answer in session] == [10]


def test_an_array_may_change_right_after_it_was_sent():
    with serving() as there, Client(there.address) as client, client.session("copy", FIELD) as session:
        image = IMAGE.copy()
        for number in range(8):
            image[:] = number
            session.send(image)
        image[:] = 999
        assert [int(answer.image[0, 0]) for answer in session] == list(range(8))


def test_large_frames_are_sent_without_a_copy_and_arrive_intact():
    field = Field(shape=(300, 400), pixel_size_nm=1.0)
    with serving() as there, Client(there.address) as client, client.session("large", field) as session:
        images = [np.random.default_rng(n).integers(0, 65535, field.shape, np.uint16) for n in range(20)]
        for image in images:
            session.send(image, copy=False)
        for image, answer in zip(images, session, strict=True):
            np.testing.assert_array_equal(answer.image, image)
    assert session.receipt.checksum_matches


def test_a_picture_larger_than_a_message_is_sent_in_pieces():
    service = ReferenceService(max_frame_bytes=3000)
    with serving(service) as there, Client(there.address) as client:
        with client.session("pieces", FIELD) as session:
            assert session.send(IMAGE) == 3  # 10240 bytes in pieces of 1500 points
            assert session.send(IMAGE) == 7
        frames = [header for header, _ in service.sessions[session.session_id].frames.values()]
        assert [(h.pass_index, h.first_point, h.points, h.end_of_pass) for h in frames[:4]] == [
            (0, 0, 1500, False),
            (0, 1500, 1500, False),
            (0, 3000, 1500, False),
            (0, 4500, 620, True),
        ]
        payloads = [payload for _, payload in service.sessions[session.session_id].frames.values()]
        assert b"".join(payloads[:4]) == IMAGE.tobytes() and frames[4].pass_index == 1


def test_samples_of_a_sparse_plan_and_two_channels():
    plan = ScanPlan.jittered_grid(FIELD.shape, 500, pitch_px=4, seed=1)
    channels = [Channel(name="BF", dtype="uint8"), Channel(name="HAADF", dtype="uint8")]
    service = ReferenceService()
    with serving(service) as there, Client(there.address) as client:
        with client.session("sparse", FIELD, channels=channels, returns="none", mode="exposure") as session:
            samples = np.random.default_rng(1).integers(0, 255, (2, plan.points), np.uint8)
            session.send_samples(plan, samples, chunk_points=100)
            plan_id = session.send_plan(plan)
            session.send_samples(plan_id, samples[:, :50])
            session.send_samples(plan_id, samples[:, 50:60], first_point=50, end_of_pass=True)
            session.send_samples(plan_id, samples)
        held = service.sessions[session.session_id]
        table = [np.frombuffer(p, np.uint8).reshape(2, -1) for h, p in held.frames.values() if h.pass_index == 0]
        np.testing.assert_array_equal(np.concatenate(table, axis=1), samples)
        ends = {h.pass_index: h for h, _ in held.frames.values() if h.end_of_pass}
        assert sorted(ends) == [0, 1, 2] and ends[1].first_point == 50 and len(held.plans) == 1


def test_passed_through_frames_carry_their_samples():
    service = ReferenceService(restore=False)
    with serving(service) as there, Client(there.address) as client, client.session("raw", FIELD) as session:
        session.send(IMAGE)
        answer = session.receive()
        assert not answer.restored and answer.reason == "engine_down" and answer.sigma is None
        np.testing.assert_array_equal(answer.samples, IMAGE.reshape(1, -1))
        np.testing.assert_array_equal(answer.image, IMAGE)
        plan = ScanPlan.point_list(FIELD.shape, 100, xy=[[1, 2], [3, 4]])
        session.send_samples(plan, np.array([7, 8], np.uint16))
        answer = session.receive()
        assert answer.image is None and answer.samples.tolist() == [[7, 8]]


@pytest.mark.parametrize(
    "bad, word",
    [
        (np.zeros((64, 81), np.uint16), "shape"),
        (np.zeros((2, 64, 80), np.uint16), "channel"),
        (np.zeros((64, 80), np.float64), "float64"),
        (np.zeros((0, 80), np.uint16), "shape"),
        (Frame(plan_id=99, samples=np.zeros((1, 4), np.uint16)), "id 99"),
    ],
)
def test_what_was_not_announced_is_not_sent(bad, word):
    with serving() as there, Client(there.address) as client, client.session("bad", FIELD) as session:
        with pytest.raises(InvalidInput, match=word) as caught:
            session.send(bad)
        assert caught.value.mend and session.stats.sent == 0


def test_points_beyond_the_plan_and_plans_beyond_the_field_are_not_sent():
    with serving() as there, Client(there.address) as client, client.session("beyond", FIELD) as session:
        plan = ScanPlan.point_list(FIELD.shape, 100, xy=[[1, 2]])
        with pytest.raises(InvalidInput, match="has 1"):
            session.send_samples(plan, np.zeros(2, np.uint16))
        with pytest.raises(PlanError):
            session.send_plan(ScanPlan.raster((8, 8), 100))
        with pytest.raises(InvalidInput, match="line by line"):
            session.send(IMAGE, plan)
        assert session.stats.sent == 0


def test_big_endian_samples_are_turned_round():
    with serving() as there, Client(there.address) as client, client.session("endian", FIELD) as session:
        session.send(IMAGE.astype(">u2"))
        np.testing.assert_array_equal(session.receive().image, IMAGE)


@pytest.mark.parametrize(
    "options, word",
    [
        ({"chanels": []}, "no option"),
        ({"mode": "movie"}, "movie"),
        ({"record": False, "delivery": "durable"}, "durable"),
        ({"restore_channel": "BF"}, "BF"),
        ({"unread": 0}, "unread"),
        ({"channels": [Channel(name="a", dtype="uint8"), Channel(name="b")]}, "types"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_sent(options, word):
    with Client("tcp://127.0.0.1:9") as client, pytest.raises(InvalidInput, match=word):
        client.session("options", FIELD, **options)
    with Client("nowhere") as client, pytest.raises(InvalidInput, match="address"):
        client.session("address", FIELD)
    with Client("tcp://127.0.0.1:9") as client, pytest.raises(InvalidInput, match="name"):
        client.session("../x", FIELD)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_nobody_there_is_an_error_within_the_time_given():
    began = time.monotonic()
    with Client(f"tcp://127.0.0.1:{free_port()}", timeout_s=0.4) as client:
        with pytest.raises(NotConnected, match="scanmend serve"):
            client.session("nobody", FIELD)
    assert time.monotonic() - began < 2


def test_a_refusal_names_its_code_and_its_mend():
    service = ReferenceService()
    service.refuse = "session_exists"
    with serving(service) as there, Client(there.address) as client:
        with pytest.raises(SessionRefused, match="Ask again") as caught:
            client.session("twice", FIELD)
    assert caught.value.code == "session_exists"


def test_a_send_without_credit_says_why_it_was_held():
    service = ReferenceService(credit=2)
    with serving(service) as there, Client(there.address) as client:
        with client.session("held", FIELD, returns="none", hold_timeout_s=0.2) as session:
            service.paused = "The disk is slow."
            session.send(IMAGE)
            session.send(IMAGE)
            with pytest.raises(SessionPaused, match="The disk is slow"):
                session.send(IMAGE)
            assert session.paused == "The disk is slow." and session.stats.sent == 2
            service.paused = ""
            there.push.extend(service.ack(service.sessions[session.session_id]))
            assert session.send(IMAGE) == 2


PLAN = ScanPlan.raster(FIELD.shape, 100)
PIECES = {"send": 3000, "send_samples": 1 << 26}
"""Who is given a picture that becomes several messages, and the service's largest message for it."""


def sent_points(service, session):
    """Pass, first point and points of each frame that arrived."""
    frames = [header for header, _ in service.sessions[session.session_id].frames.values()]
    return [(h.pass_index, h.first_point, h.points) for h in frames]


def half_sent(max_frame_bytes):
    """A service that takes two messages and gives no more credit."""
    service = ReferenceService(credit=2, max_frame_bytes=max_frame_bytes)
    service.paused = "The disk is slow."
    return service


def give_credit(there, session):
    there.service.paused = ""
    there.push.extend(there.service.ack(there.service.sessions[session.session_id]))


@pytest.mark.parametrize("call", PIECES)
def test_a_pass_that_was_held_between_two_messages_goes_on_where_it_was(call):
    with serving(half_sent(PIECES[call])) as there, Client(there.address) as client:
        with client.session("go-on", FIELD, returns="none", hold_timeout_s=0.2) as session:

            def send(image, **options):
                if call == "send":
                    return session.send(image, **options)
                return session.send_samples(PLAN, image.reshape(-1), chunk_points=1500, **options)

            image = IMAGE.copy()
            for _ in range(2):  # held before the first piece of a try, it is where it was
                with pytest.raises(SessionPaused, match="first 3000 of the 5120 points .* go on behind") as caught:
                    send(image, dropped_before=2, acquired_unix_ns=5)
                assert caught.value.points_sent == 3000
            image[:] = 0  # its buffer serves for something else meanwhile
            give_credit(there, session)
            assert send(IMAGE, dropped_before=2) == 3
            assert session.stats.sent == 4
            send(IMAGE)
        whole = [(0, 1500), (1500, 1500), (3000, 1500), (4500, 620)]
        assert sent_points(there.service, session) == [(n, *points) for n in (0, 1) for points in whole]
        frames = list(there.service.sessions[session.session_id].frames.values())
        assert b"".join(payload for _, payload in frames[:4]) == IMAGE.tobytes()
        assert [h.end_of_pass for h, _ in frames[:4]] == [False] * 3 + [True]
        assert [h.dropped_before for h, _ in frames[:4]] == [2, 0, 0, 0]
        assert [h.acquired_unix_ns for h, _ in frames[:4]] == [5] * 4
        assert session.receipt.balanced and session.receipt.dropped_by_client == 2


def test_points_that_were_scanned_again_are_sent_again():
    with serving(half_sent(1 << 26)) as there, Client(there.address) as client:
        with client.session("anew", FIELD, returns="none", hold_timeout_s=0.2) as session:
            with pytest.raises(SessionPaused):
                session.send_samples(PLAN, IMAGE.reshape(-1), chunk_points=1500)
            give_credit(there, session)
            session.send_samples(PLAN, (IMAGE + 1).reshape(-1))
        assert sent_points(there.service, session) == [(0, 0, 1500), (0, 1500, 1500), (0, 0, 5120)]


def test_the_rest_of_a_pass_that_was_held_can_be_sent_by_hand():
    with serving(half_sent(1 << 26)) as there, Client(there.address) as client:
        with client.session("by-hand", FIELD, returns="none", hold_timeout_s=0.2) as session:
            samples = IMAGE.reshape(-1)
            with pytest.raises(SessionPaused) as caught:
                session.send_samples(PLAN, samples, chunk_points=1500)
            give_credit(there, session)
            first = caught.value.points_sent
            session.send_samples(PLAN, samples[first:], first_point=first)
        assert sent_points(there.service, session) == [(0, 0, 1500), (0, 1500, 1500), (0, 3000, 2120)]


@contextlib.contextmanager
def through_a_tunnel(monkeypatch):
    """A service behind a link that can be cut; it never sends the answers that it owes."""
    monkeypatch.setattr("scanmend.client.answers.DOUBT_S", 0.5)
    service = ReferenceService()
    monkeypatch.setattr(service, "frame", lambda parts: ReferenceService.frame(service, parts)[:1])
    with serving(service) as there, ChaosProxy(there.address) as tunnel:
        yield tunnel


def test_an_answer_lost_with_a_connection_is_not_waited_for_for_ever(monkeypatch):
    with through_a_tunnel(monkeypatch) as tunnel, Client(tunnel.address) as client:
        with client.session("lost", FIELD) as session:
            session.send(IMAGE)
            while session.stats.in_ring:
                session.pump()
            tunnel.cut()
            assert session.receive() is None
            assert session.stats.unanswered == 1 and session.stats.awaited == 0 and session.stats.resent == 0
        assert session.receipt.balanced


async def test_asyncio_an_answer_lost_with_a_connection_is_not_waited_for_for_ever(monkeypatch):
    with through_a_tunnel(monkeypatch) as tunnel:
        async with AsyncClient(tunnel.address) as client, client.session("lost", FIELD) as session:
            await session.send(IMAGE)
            while session.stats.in_ring:
                await asyncio.sleep(0.01)
            tunnel.cut()
            assert [answer async for answer in session.drain()] == []
            assert session.stats.unanswered == 1 and session.stats.resent == 0
        assert session.receipt.balanced


def test_unread_answers_stop_a_program_that_never_reads():
    with serving() as there, Client(there.address) as client, client.session("deaf", FIELD, unread=3) as session:
        with pytest.raises(SessionPaused, match="unread"):
            for _ in range(30):
                session.send(IMAGE)
                session.pump()
                time.sleep(0.01)
        assert len(list(session)) == session.stats.answers


def test_frames_that_get_lost_on_the_way_are_sent_again():
    with serving(drop=0.2) as there, Client(there.address) as client:
        with client.session("lossy", FIELD) as session:
            for number in range(80):
                session.send(IMAGE + number)
                session.receive(timeout_s=0)
        assert session.receipt.balanced and session.receipt.checksum_matches and session.stats.resent > 5


def test_a_service_that_is_started_again_misses_nothing():
    service = ReferenceService()
    with serving(service) as there, Client(there.address) as client:
        with client.session("restart", FIELD, returns="none") as session:
            for number in range(40):
                if number in (10, 11, 25):
                    service.durable = number != 10
                    service.restart()
                session.send(IMAGE + number)
            service.durable = True
        assert session.receipt.balanced and session.receipt.checksum_matches and session.stats.reconnects >= 1


def test_a_rejected_frame_is_raised_once_and_listed():
    service = ReferenceService()

    def tap(parts):
        """Announce another type in the header of frame 1 than the session did."""
        if len(parts) == 2:
            header = FrameHeader.unpack(parts[0], max_payload_bytes=1 << 20)
            if header.seq == 1:
                values = {name: getattr(header, name) for name in FrameHeader.__slots__}
                return [[FrameHeader(**(values | {"dtype": "int16"})).pack(), parts[1]]]
        return [parts]

    with serving(service) as there, Client(there.address, tap=tap) as client:
        with client.session("rejected", FIELD, returns="none") as session:
            session.send(IMAGE)
            session.send(IMAGE)
            with pytest.raises(FrameRejected) as caught:
                for _ in range(50):
                    session.send(IMAGE)
                    time.sleep(0.01)
            assert caught.value.seq == 1 and session.rejected == (caught.value,)
            session.send(IMAGE)
        assert session.receipt.balanced and session.receipt.rejected == {"dtype": 1}


def propose(session, proposal_id, expires_unix_ns=1 << 62):
    return encode(
        Proposal(
            session_id=session.session_id,
            proposal_id=proposal_id,
            plan=ScanPlan.point_list(FIELD.shape, 100, xy=[[5, 5]]),
            policy="uncertainty",
            reason="",
            based_on_frames=1,
            dose_e_per_nm2=1.0,
            duration_ns=100,
            sigma_now=1.0,
            sigma_expected=0.5,
            expires_unix_ns=expires_unix_ns,
        )
    )


def test_proposals_are_accepted_changed_declined_or_expire():
    service = ReferenceService()
    with serving(service) as there, Client(there.address) as client, client.session("rescan", FIELD) as session:
        session.send(IMAGE)
        there.push.extend(
            [[propose(session, 1)], [propose(session, 2, 1)], [propose(session, 3)], [propose(session, 4)]]
        )
        first = session.next_proposal(timeout_s=5)
        assert first.proposal_id == 1
        plan_id = session.accept(first)
        session.send_samples(plan_id, np.array([9], np.uint16))
        changed = session.next_proposal(timeout_s=5)
        assert changed.proposal_id == 3
        other = ScanPlan.point_list(FIELD.shape, 100, xy=[[6, 5]])
        assert session.accept(changed, other) != plan_id
        declined = session.next_proposal(timeout_s=5)
        session.decline(declined, "No time.")
        with pytest.raises(InvalidInput, match="not open"):
            session.decline(declined)
        assert session.next_proposal() is None and session.proposals == ()
        session.end()
        told = [(e.proposal_id, str(e.status), e.plan_id, e.reason) for e in service.executed]
        assert told == [
            (1, "accepted", 1, ""),
            (2, "expired", None, ""),
            (3, "changed", 2, ""),
            (4, "declined", None, "No time."),
        ]


def test_an_operators_command_reaches_the_client_and_names_the_end():
    service = ReferenceService()
    with serving(service) as there, Client(there.address) as client, client.session("stop", FIELD) as session:
        session.send(IMAGE)
        there.push.append(service.command(session.session_id, "stop"))
        while session.command is None:
            session.receive(timeout_s=0.05)
        assert session.command == "stop" and session.end().reason == "stopped"


def test_an_exception_ends_the_session_as_aborted_and_goes_on():
    service = ReferenceService()
    with serving(service) as there, Client(there.address) as client:
        with pytest.raises(ZeroDivisionError):
            with client.session("abort", FIELD) as session:
                session.send(IMAGE)
                raise ZeroDivisionError
        assert session.receipt.reason == "aborted" and session.closed


def test_a_service_that_falls_silent_is_an_error_after_a_while():
    with serving() as there, Client(there.address) as client:
        with pytest.raises(NotConnected, match="silent"):
            with client.session("silent", FIELD, give_up_s=0.3) as session:
                there.silent.set()
                session.send(IMAGE)
                session.receive()
        assert session.receipt is None and session.closed


def test_recording_that_fails_is_told_and_the_session_still_ends():
    service = ReferenceService()
    with serving(service) as there, Client(there.address) as client, client.session("full", FIELD) as session:
        session.send(IMAGE)
        session.receive()
        code, reason = NackCode.RECORDING_FAILED, "The disk is full."
        there.push.append([encode(Nack(session_id=session.session_id, code=code, reason=reason, mend="Make room."))])
        session.receive(timeout_s=0.3)
        with pytest.raises(Exception, match="Make room"):
            session.send(IMAGE)
        assert session.end().balanced


async def test_asyncio_one_task_sends_while_another_reads():
    with serving() as there:
        async with AsyncClient(there.address) as client:
            async with client.session("tasks", FIELD, unread=4) as session:
                seen = []

                async def read():
                    async for answer in session:
                        seen.append((answer.seq, int(answer.image[0, 0])))

                reader = asyncio.create_task(read())
                for number in range(200):
                    await session.send(IMAGE + number)
            await reader
            assert seen == [(number, number) for number in range(200)]
            assert session.receipt.balanced and session.receipt.checksum_matches


async def test_asyncio_one_task_alone():
    plan = ScanPlan.jittered_grid(FIELD.shape, 500, pitch_px=4, seed=1)
    service = ReferenceService()
    with serving(service) as there:
        async with AsyncClient(there.address) as client, client.session("alone", FIELD) as session:
            await session.send_samples(await session.send_plan(plan), np.ones(plan.points, np.uint16), chunk_points=200)
            answers = [answer async for answer in session.drain()]
            assert len(answers) == 2 and answers[-1].image.sum() == plan.points - 200
            there.push.extend([[propose(session, 1)], [propose(session, 2)]])
            await session.accept(await session.next_proposal(5))
            await session.decline(await session.next_proposal(5), "No.")
            assert await session.next_proposal() is None
            there.push.append(service.command(session.session_id, "abort"))
            while session.command is None:
                await asyncio.sleep(0.01)
            assert (await session.end()).reason == "aborted"
            assert await session.receive() is None
        assert [str(e.status) for e in service.executed] == ["accepted", "declined"]


async def test_asyncio_errors_are_the_same():
    async with AsyncClient(f"tcp://127.0.0.1:{free_port()}", timeout_s=0.2) as client:
        with pytest.raises(NotConnected, match="scanmend serve"):
            await client.session("nobody", FIELD).open()
    service = ReferenceService(credit=2)
    with serving(service) as there:
        async with AsyncClient(there.address) as client:
            with pytest.raises(ZeroDivisionError):
                async with client.session("held", FIELD, returns="none", hold_timeout_s=0.2) as session:
                    service.paused = "The disk is slow."
                    await session.send(IMAGE)
                    await session.send(IMAGE)
                    with pytest.raises(SessionPaused, match="The disk is slow"):
                        await session.send(IMAGE)
                    raise ZeroDivisionError
            assert session.receipt.reason == "aborted"
            with pytest.raises(SessionClosed):
                await session.send(IMAGE)


@pytest.mark.parametrize("call", PIECES)
@pytest.mark.parametrize("how", [SessionPaused, TimeoutError])
async def test_asyncio_a_pass_goes_on_where_it_was_held_or_cancelled(call, how):
    with serving(half_sent(PIECES[call])) as there:
        async with AsyncClient(there.address) as client:
            longest_s = 0.2 if how is SessionPaused else 10.0
            async with client.session("go-on", FIELD, returns="none", hold_timeout_s=longest_s) as session:

                async def send(image):
                    if call == "send":
                        return await session.send(image)
                    return await session.send_samples(PLAN, image.reshape(-1), chunk_points=1500)

                for _ in range(2):
                    with pytest.raises(how) as caught:
                        async with asyncio.timeout(None if how is SessionPaused else 0.3):
                            await send(IMAGE)
                    assert getattr(caught.value, "points_sent", 3000) == 3000
                give_credit(there, session)
                assert await send(IMAGE) == 3
            assert sent_points(there.service, session) == [
                (0, 0, 1500),
                (0, 1500, 1500),
                (0, 3000, 1500),
                (0, 4500, 620),
            ]
            assert session.receipt.balanced


async def test_asyncio_survives_a_restart_while_it_waits():
    service = ReferenceService(durable=False)
    with serving(service) as there:
        async with AsyncClient(there.address) as client, client.session("wait", FIELD) as session:
            await session.send(IMAGE)
            assert (await session.receive()).seq == 0
            service.restart()
            service.durable = True
            while session.stats.durable_upto < 1:  # the silence is noticed, and the frame is sent again
                await asyncio.sleep(0.05)
            assert session.stats.reconnects == 1
        assert session.receipt.balanced
