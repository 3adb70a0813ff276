"""A daemon that answers as a test tells it to: for replies that are hard to bring about with the real one, such as a
full card at a chosen moment or a daemon of another version. It decides nothing by itself."""
import array
import json
import os
import socket
import struct
import tempfile
import threading

HEADER = struct.Struct("<IHHI")
MAGIC, VERSION, REQUEST, REPLY = 0x41584C46, 2, 1, 2

CARD = {"card": "0", "backend": "toy", "kind": "cpu", "vendor": "Acme", "model": "Acme Card 9000", "driver": "1.2",
        "uuid": "acme-0", "compute_units": 2, "memory_total_bytes": 16 << 30, "memory_granted_bytes": 8 << 30,
        "memory_used_bytes": 3 << 29, "share_granted_permille": 300, "compute_received_ratio": 0.298, "slices": 1,
        "lever": "freeze"}
SLICE = {"slice": "s-7f3a", "card": "0", "owner": "ana", "owner_uid": 1000, "command": "python train.py",
         "leader_pid": 1, "share_permille": 300, "limit_permille": 300, "priority": "normal", "state": "running",
         "memory_limit_bytes": 8 << 30, "memory_used_bytes": 3 << 29, "memory_peak_bytes": 2 << 30,
         "compute_received_ratio": 0.298, "compute_received_seconds": 12.5, "throttled_seconds": 4.5,
         "refused_allocations": 0, "age_seconds": 61, "processes": [], "warnings": []}


def status(**changes):
    return {"version": "0.1.0", "protocol": 2, "daemon_pid": os.getpid(), "socket": "", "cards": [CARD],
            "slices": [SLICE], "waiting": [], "warnings": [], **changes}


def granted(request):
    """The slice that a request asks for."""
    slice_ = {**SLICE, "slice": "s-0001", "state": "starting", "processes": []}
    slice_.update({key: value for key, value in request.items() if key in SLICE})
    slice_["card"] = "0"
    slice_["memory_limit_bytes"] = slice_["memory_limit_bytes"] or 5 << 30
    return slice_


def error(code, message, hint=""):
    return {"error": {"code": code, "message": message, "hint": hint}}


class StubDaemon:
    """`answer(request)` yields the replies. `requests` and `files` keep what came, in order."""

    def __init__(self, answer=None):
        self.answer = answer or self.default
        self.requests, self.files = [], []
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name + "/socket"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def default(self, request):
        if request["op"] == "status":
            yield status(socket=self.path)
        elif request["op"] == "create":
            yield {"slice": granted(request)}
        else:
            yield {"slice": {**SLICE, **request}}

    @staticmethod
    def hang_up(_):
        """An answer: the daemon goes away instead."""
        yield None

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def read(self, connection, size):
        data = b""
        while len(data) < size:
            try:
                part, ancillary, _, _ = connection.recvmsg(size - len(data), socket.CMSG_SPACE(4))
            except ConnectionError:  # a client that ended in the middle
                return None
            for _, _, raw in ancillary:
                self.files.extend(array.array("i", raw))
            if not part:
                return None
            data += part
        return data

    def serve(self, connection):
        with connection:
            while head := self.read(connection, HEADER.size):
                magic, version, kind, length = HEADER.unpack(head)
                assert (magic, version, kind) == (MAGIC, VERSION, REQUEST), head
                request = json.loads(self.read(connection, length))
                self.requests.append(request)
                for reply in self.answer(request):
                    if reply is None:
                        return
                    body = json.dumps(reply).encode()
                    try:
                        connection.sendall(HEADER.pack(MAGIC, VERSION, REPLY, len(body)) + body)
                    except OSError:
                        return

    def close(self):
        self.listener.close()
        for fd in self.files:
            os.close(fd)
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
