"""Serves a microscope's class to `scanmend bridge`, in the Python of the microscope's maker.

It needs Python 3.7 or newer and numpy, and nothing of Scanmend: copy it beside the script of your microscope. It
listens on this machine only, to one near end at a time, and to none that does not know the token that it prints.
Where a near end is lost, it stops the scan and blanks the beam.
"""

import argparse
import hmac
import json
import secrets
import select
import socket
import struct
import sys

import numpy as np

HOST = "127.0.0.1"
LOOK_S = 0.5
VERBS = ("describe", "begin", "read", "stop")
MAX_QUESTION_BYTES = 1 << 16
TYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float32")


def main(build, options, not_tried=""):
    """Run a script: with --serve for `scanmend bridge`, without it with Scanmend's client in this very Python.

    Args:
        build: Makes the microscope's class from the options.
        options: An `argparse.ArgumentParser` with the script's own ones.
        not_tried: Printed first where nobody has tried the script on the instrument.
    """
    if not_tried:
        print(not_tried, file=sys.stderr, flush=True)
    options.add_argument("--serve", type=int, metavar="PORT", help="wait for `scanmend bridge` on this port; 0: any")
    # A Python inside another program may have no command line.
    own, rest = options.parse_known_args(getattr(sys, "argv", [""])[1:])
    if own.serve is not None:
        if rest:
            options.error("with --serve, these belong to `scanmend bridge`: " + " ".join(rest))
        serve(build(own), own.serve)
        return 0
    try:
        from scanmend.client.bridge import run_program
    except ImportError as error:
        raise SystemExit(
            f"Scanmend's client is not in this Python ({error}): install it here, or start this with --serve 7511 and "
            "run `scanmend bridge` in a Python that has it."
        ) from error
    return run_program(build(own), rest)


def serve(microscope, port=7511, token="", once=False, tell=print):
    """Answer near ends, one after another, until Ctrl-C.

    Args:
        microscope: Its class, with the verbs describe, begin, read and stop, and close.
        port: On which to listen; 0 for any that is free.
        token: The word that a near end must know; made where it is empty.
        once: Whether to leave after the first near end.
        tell: Takes the line that `scanmend bridge` is started with.
    """
    token = token or secrets.token_hex(8)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.bind((HOST, port))
        listening.listen(1)
        tell(f"scanmend bridge {HOST}:{listening.getsockname()[1]} --far-token {token}")
        sys.stdout.flush()
        while True:
            _wait(listening)
            near, _ = listening.accept()
            try:
                _answer_all(near, microscope, token)
            except (OSError, ValueError) as error:
                print(f"The near end was lost: {error}", file=sys.stderr, flush=True)
            finally:
                near.close()
                microscope.stop()
            if once:
                return
    except KeyboardInterrupt:
        return
    finally:
        listening.close()
        microscope.stop()
        microscope.close()


def _answer_all(near, microscope, token):
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A near end that only waits for the service sends nothing for minutes; one whose machine died is noticed by this.
    near.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    while True:
        question = _question(near)
        if question is None:
            return
        if not hmac.compare_digest(str(question.get("token", "")).encode(), token.encode()):
            _send(near, {"error": "another token than this far end has printed"})
            return
        call, arguments = question.get("call"), question.get("args", {})
        if call not in VERBS:
            _send(near, {"error": f"no verb {call!r}"})
            continue
        try:
            result = getattr(microscope, call)(**arguments)
        except Exception as error:  # whatever the maker's library raises is told to the near end, which ends the scan
            _send(near, {"error": f"{type(error).__name__}: {error}"})
            continue
        if call == "read" and result is not None:
            first, points, samples = result
            _send(near, {"result": [int(first), int(points)]}, samples)
        else:
            _send(near, {"result": result})


def _question(near):
    head = _exactly(near, 4)
    if head is None:
        return None
    (length,) = struct.unpack(">I", head)
    if length > MAX_QUESTION_BYTES:
        raise ValueError(f"a question of {length} bytes")
    body = _exactly(near, length)
    question = None if body is None else json.loads(body.decode())
    if not isinstance(question, dict):
        raise ValueError("a question that is no map")
    return question


def _wait(sock):
    """Until there is something to take; Windows hands Ctrl-C over between two looks only."""
    while not select.select([sock], [], [], LOOK_S)[0]:
        pass


def _exactly(near, count):
    data = b""
    while len(data) < count:
        _wait(near)
        more = near.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def _send(near, answer, samples=None):
    body = b""
    if samples is not None:
        if samples.dtype.name not in TYPES:
            raise ValueError(f"samples of type {samples.dtype}")
        table = np.ascontiguousarray(samples, dtype=samples.dtype.newbyteorder("<"))
        body = table.tobytes()
        answer = dict(answer, dtype=samples.dtype.name, shape=list(table.shape), nbytes=len(body))
    head = json.dumps(answer).encode()
    near.sendall(struct.pack(">I", len(head)) + head + body)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("Start the script of your microscope with --serve; it uses this file.")
