"""Programs of every kind in a slice: each is held to its limit, or gets a sentence that says why not."""
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import unittest
import uuid

from tenants import (ALLOC, ATTACH, ATTACHED, BUILD, DEADLINE_S, FLEXAI, HEADER, MAGIC, PROGRAM, REFUSED, REPLY, TEST_CARD, UNIT, VERSION,
                      Daemon, Peer, WithDaemon, clean_environment, connect, cores_used, read_exactly, standing_still, until, worker_time)

LIMIT = 16 * UNIT
SLICE = ("--share", "30%", "--memory", str(LIMIT))
CUDA = TEST_CARD == "fake_cuda"
NOBODY = 65534


def needs_threads(test):
    return unittest.skipIf(CUDA, "the lever of this card stops channels, no threads")(test)


def needs_forks(test):
    return unittest.skipIf(CUDA, "this driver refuses to work in a child of a process that has begun with it")(test)


def needs_root(test):
    return unittest.skipUnless(os.geteuid() == 0, "only root can make such a program")(test)


class Starting(WithDaemon):
    """fork, exec, and what a program may do to itself first."""

    @needs_forks
    def test_a_forks_child_has_its_own_count(self):
        program = self.run_program(*SLICE)
        self.assertEqual(program.do(f"alloc {ALLOC} {4 * UNIT}"), "ok 0")
        self.assertEqual(program.do(f"fork alloc {ALLOC} {8 * UNIT};-"), "child: ok 1")
        self.assertEqual(program.used(), 12 * UNIT)
        self.assertEqual(len(program.slice()["processes"]), 2)
        self.assertEqual(program.do(f"alloc {ALLOC} {5 * UNIT}"), f"child: {REFUSED}")
        # The parent's buffer is not the child's to give back.
        self.assertEqual(program.do("release 0"), "child: did 0")
        self.assertEqual(program.used(), 12 * UNIT)
        self.assertEqual(program.do("release 1"), "child: did 0")
        self.assertEqual(program.used(), 4 * UNIT)
        self.assertEqual(program.do(f"alloc {ALLOC} {12 * UNIT}"), "child: ok 2")
        self.assertEqual(program.do("leave"), "ended 0")
        self.until_used(program, 4 * UNIT)
        self.assertEqual(program.do(f"alloc {ALLOC} {12 * UNIT}"), "ok 1")

    @needs_forks
    def test_a_forks_child_outlives_its_parent(self):
        program = self.run_program(*SLICE)
        self.assertEqual(program.do(f"fork alloc {ALLOC} {8 * UNIT};me;-"), "child: ok 0")
        child = int(program.line().split()[2])
        os.kill(program.pid, signal.SIGKILL)
        program.process.wait(DEADLINE_S)
        until("the parent is forgotten", lambda: [each["pid"] for each in program.slice()["processes"]] == [child])
        self.assertEqual(program.used(), 8 * UNIT)
        self.assertEqual(program.do(f"alloc {ALLOC} {9 * UNIT}"), f"child: {REFUSED}")
        program.tell("leave")

    def test_children_that_begin_before_their_parent(self):
        program = self.run_program(*SLICE)
        self.assertEqual(program.do(f"fork alloc {ALLOC} {8 * UNIT};-"), "child: ok 0")
        self.assertEqual(program.do(f"alloc {ALLOC} {9 * UNIT}"), f"child: {REFUSED}")
        self.assertEqual(program.do("leave"), "ended 0")
        self.until_used(program, 0)
        self.assertEqual(program.do(f"alloc {ALLOC} {LIMIT}"), "ok 0")
        self.assertEqual(len(program.slice()["processes"]), 1)

    def test_64_processes(self):
        program = self.run_program(*SLICE)
        self.assertEqual(program.do(f"spawn 64 alloc {ALLOC} {UNIT};-"), "spawned 64")
        told = [program.line() for _ in range(64)]
        self.assertEqual((told.count("ok 0"), told.count(REFUSED)), (16, 48))
        found = program.slice()
        self.assertEqual((found["memory_used_bytes"], found["memory_peak_bytes"], len(found["processes"])), (LIMIT, LIMIT, 64))
        program.process.stdin.close()
        until("all are forgotten", lambda: not self.daemon.slices())

    def test_exec_starts_from_nothing(self):
        program = self.run_program(*SLICE)
        self.assertEqual(program.do(f"alloc {ALLOC} {LIMIT}"), "ok 0")
        self.assertEqual(program.do(f"exec {PROGRAM} me -"), f"me {program.pid} {os.geteuid()}")
        self.until_used(program, 0)
        self.assertEqual(program.do(f"alloc {ALLOC} {LIMIT}"), "ok 0")
        self.assertEqual(program.do(f"alloc {ALLOC} 4"), REFUSED)
        program.tell("exec cat")
        self.until_used(program, 0)
        self.assertEqual(program.do("cat echoes"), "cat echoes")
        self.assertEqual(program.leave(), 0)

    def test_signals_blocked_in_all_threads(self):
        program = self.run_program("--share", "50%", commands=("block-signals", "-"))
        self.assertEqual(program.line(), "blocked")
        self.pause_stops(program)

    @needs_threads
    def test_the_levers_signal_is_taken_from_the_start(self):
        program = self.run_program("--share", "50%", commands=("take-signal 7", "-"))
        self.assertRegex(program.line(), "took")
        self.pause_stops(program)
        self.assertRegex(program.told(), r"\Aflexai: signal \d+ is taken by the program: [^\n]*\n\Z")
        self.assertEqual(program.slice()["lever"], "gate")

    def pause_stops(self, program):
        program.tell("spin 1000")
        until("it computes", lambda: worker_time(program.pid) > 5_000_000)
        name = program.slice()["slice"]
        self.assertEqual(self.daemon.flexai("pause", name).returncode, 0)
        until("the workers stand still", lambda: standing_still([program.pid]))
        self.assertEqual(self.daemon.flexai("resume", name).returncode, 0)
        self.assertRegex(program.line(), r"spun [1-9]")

    @needs_threads
    def test_the_levers_signal_is_taken_later(self):
        program = self.run_program("--share", "50%")
        program.do("device")
        self.assertRegex(program.do("take-signal 7"), "took")
        program.tell("spin 4000")
        until("it computes", lambda: worker_time(program.pid) > 5_000_000)
        self.daemon.flexai("pause", program.slice()["slice"])
        warned = until("the program is named", lambda: program.slice()["warnings"])
        self.assertEqual(warned[0], f"process {program.pid} computes although it is held: it blocks the lever")
        self.assertIn(warned[0], self.daemon.flexai("status").stdout)
        fence = until("a second fence is tried", lambda: program.slice()["warnings"][1:])
        if "no control group helps" in fence[0]:
            self.skipTest(fence[0])
        self.assertLess(cores_used(program.pid), 0.6 * len(os.sched_getaffinity(0)))


class NoCard(unittest.TestCase):
    """A host without OpenCL."""

    def test_everybody_is_told(self):
        if not FLEXAI.exists():
            self.skipTest(f"{FLEXAI} is not built")
        with tempfile.TemporaryDirectory() as nothing:
            daemon = Daemon()
            daemon.env["OCL_ICD_VENDORS"] = daemon.env["FLEXAI_NVML"] = nothing + "/"
            daemon.start()
            self.addCleanup(daemon.stop)
            ran = daemon.flexai("run", "--share", "30%", "--", "true")
            self.assertEqual(ran.returncode, 125, ran)
            self.assertRegex(ran.stderr, r"\Aflexai: this host has no card that flexai can share[^\n]*flexai doctor[^\n]*\n\Z")
            self.assertEqual(daemon.flexai("cards").returncode, 0)
            doctor = daemon.flexai("doctor")
            self.assertEqual(doctor.returncode, 1, doctor)
            self.assertIn("no card", doctor.stdout)


class Surroundings(WithDaemon):
    """Places where little is as usual."""

    def check_limit(self, *prefix, **more):
        """The limit holds for a program started by `prefix`, whose answers go to a file."""
        with tempfile.TemporaryDirectory() as folder:
            answers = pathlib.Path(folder, "answers")
            answers.touch()
            answers.chmod(0o666)
            fd = os.open(answers, os.O_WRONLY | os.O_APPEND)
            self.addCleanup(os.close, fd)
            commands = (f"answer-to /proc/self/fd/{fd}", f"alloc {ALLOC} {LIMIT}", f"alloc {ALLOC} 4", "device")
            program = self.run_program(*SLICE, prefix=prefix, commands=commands, pass_fds=[fd], **more)
            code = program.process.wait(DEADLINE_S)
            told = answers.read_text().splitlines()
        self.assertEqual((code, told), (0, ["ok 0", REFUSED, f"device {LIMIT} {0 if CUDA else LIMIT}"]), program.told())
        return program

    def test_closed_stdin_stdout_stderr(self):
        for closed in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"):
            with self.subTest(closed=closed):
                self.check_limit("sh", "-c", f'exec "$@" {closed}', "sh")

    def test_32_open_files(self):
        program = self.check_limit("prlimit", "--nofile=32")
        self.assertRegex(program.told(), f"{ALLOC} refused")

    def test_no_place_to_write(self):
        script = f"""mount --make-rprivate / && mount --bind {BUILD} /mnt && mount -o remount,bind,ro / &&
            for each in /tmp /run /dev/shm; do mount -t tmpfs -o ro,size=4k none $each; done && exec "$@" """
        alone = ("unshare", "-m", "sh", "-c", script, "sh")
        if (tried := subprocess.run([*alone, "true"], capture_output=True, text=True)).returncode != 0:
            self.skipTest(f"mounts of our own are not permitted here: {tried.stderr.strip()}")
        # The build may lie in a folder that is hidden now.
        there = [f"{key}={value}".replace(str(BUILD), "/mnt") for key, value in self.daemon.env.items() if str(BUILD) in value]
        program = self.run_program(*SLICE, prefix=(*alone, "env", *there), flexai="/mnt/bin/flexai", command=[f"/mnt/test/{PROGRAM.name}", "-"])
        self.assertEqual(program.do(f"alloc {ALLOC} {LIMIT}"), "ok 0")
        self.assertEqual(program.do(f"alloc {ALLOC} 4"), REFUSED)
        self.assertEqual(program.leave(), 0)

    def namespace(self, *words):
        """The words that start a program in such namespaces."""
        alone = ("unshare", *words)
        if (tried := subprocess.run([*alone, "true"], capture_output=True, text=True)).returncode != 0:
            self.skipTest(f"namespaces of our own are not permitted here: {tried.stderr.strip()}")
        return alone

    def check_leader(self, prefix, *command):
        """The slice's leader is the process that the daemon knows, whatever number it has for itself."""
        program = self.run_program(*SLICE, prefix=prefix, command=[*command, "sh", "-c", 'echo "$FLEXAI_SLICE"; exec "$@"', "sh", PROGRAM, "-"])
        leader = int(program.line().split(":")[5])
        found = next(iter(self.daemon.slices().values()))
        self.assertEqual(found["leader_pid"], leader)
        inside = int(program.do("me").split()[1])
        self.assertEqual(program.do(f"alloc {ALLOC} {LIMIT}"), "ok 0")
        self.assertEqual(program.do(f"alloc {ALLOC} 4"), REFUSED)
        found = next(iter(self.daemon.slices().values()))
        self.assertEqual((found["memory_used_bytes"], len(found["processes"])), (LIMIT, 1))
        return program, inside

    def test_a_namespace_of_process_ids(self):
        alone = self.namespace("-pf", "--mount-proc")
        for prefix, command in (alone, ()), ((), alone):
            with self.subTest(prefix=prefix):
                program, inside = self.check_leader(prefix, *command)
                self.assertEqual(inside, 1)
                program.leave()
                until("the slice is over", lambda: not self.daemon.slices())

    def test_a_namespace_of_users(self):
        alone = self.namespace("-Ur")
        for prefix, command in (alone, ()), ((), alone):
            with self.subTest(prefix=prefix):
                program = self.run_program(*SLICE, prefix=prefix, command=[*command, PROGRAM, "-"])
                self.assertEqual(program.do("me"), f"me {program.pid} 0")
                self.assertEqual(program.do(f"alloc {ALLOC} {LIMIT}"), "ok 0")
                self.assertEqual(program.do(f"alloc {ALLOC} 4"), REFUSED)
                program.leave()

    @needs_root
    def test_a_namespace_that_does_not_know_the_daemons_user(self):
        other = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        alone = (*other, *self.namespace("-Ur"))
        if (tried := subprocess.run([*alone, "true"], capture_output=True, text=True)).returncode != 0:
            self.skipTest(f"ordinary users may not have namespaces here: {tried.stderr.strip()}")
        sentence = f"the socket {self.daemon.address} belongs to a user that this user namespace does not know, so it could be anybody's; start"
        ran = subprocess.run([*alone, FLEXAI, "run", "--", "true"], env=self.daemon.env, capture_output=True, text=True, timeout=DEADLINE_S)
        self.assertEqual(ran.returncode, 125, ran)
        self.assertIn("flexai: " + sentence, ran.stderr)
        # One that enters it later gets no memory, and is told why.
        program = self.run_program(*SLICE, prefix=other, command=["unshare", "-Ur", PROGRAM, "-"])
        self.assertEqual(program.do(f"alloc {ALLOC} 4"), REFUSED)
        self.assertIn("flexai: no slice: " + sentence, program.told())
        self.assertEqual(program.leave(), 0)

    @unittest.skipUnless(CUDA, "this card's driver is known by its file's name")
    def test_who_gets_past_us_is_named(self):
        """One whose own launcher left nothing of ours in the environment."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(BUILD / "lib/libfake_cuda.so", folder + "/libcuda.so.580.0.0")
            os.symlink("libcuda.so.580.0.0", folder + "/libcuda.so.1")
            program = self.run_program(*SLICE, command=["env", "-u", "LD_PRELOAD", f"LD_LIBRARY_PATH={folder}", PROGRAM, "-"])
            self.assertEqual(program.do(f"alloc {ALLOC} {2 * LIMIT}"), "ok 0")
            warned = until("it is named", lambda: program.slice()["warnings"])
            self.assertEqual(warned[0], f"process {program.pid} uses libcuda.so.580.0.0 without being attached: neither its memory nor "
                                        "its share is held")
            self.assertIn(warned[0], self.daemon.flexai("status").stdout)
            self.assertEqual(program.leave(), 0)

    @needs_root
    @unittest.skipIf(CUDA, "the linker leaves our libraries out of such a program: it is named, see above")
    def test_a_program_that_becomes_another_user(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o1777)  # the driver writes its cache here, as that user
            copy = shutil.copy(PROGRAM, folder)
            os.chown(copy, NOBODY, NOBODY)
            os.chmod(copy, 0o4755)
            program = self.run_program(*SLICE, command=[copy, "-"], env={"XDG_CACHE_HOME": folder})
            self.assertEqual(program.do("me"), f"me {program.pid} {NOBODY}")
            self.assertEqual(program.do(f"alloc {ALLOC} 4"), REFUSED)
            told = program.told().splitlines()
            self.assertEqual(len(told), 2, told)
            for line in told:
                self.assertRegex(line, r"slice s-\w+ belongs to user 0; start the program with flexai run under the user that")
            self.assertEqual(program.leave(), 0)


def answer_in_next_protocol(peer):
    peer.sendall(HEADER.pack(MAGIC, VERSION + 1, REPLY, 0))


def answer_gibberish(peer):
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def attach_to(region, fixed=True):
    """Answers with a slot, and a file with these bytes as its region, whose size is fixed if it is to be believed."""
    def answer(peer):
        reply = struct.pack("<iiQ240s240s", 0, 0, 1, b"", b"")
        file = os.memfd_create("region", os.MFD_ALLOW_SEALING)
        os.write(file, region)
        if fixed:
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        socket.send_fds(peer, [HEADER.pack(MAGIC, VERSION, ATTACHED, len(reply)) + reply], [file])
        os.close(file)
    return answer


def attach_in_another_version(peer):
    peer.sendall(HEADER.pack(MAGIC, VERSION, ATTACHED, 3) + b"abc")


class Strangers(WithDaemon):
    """Whoever is not of our release, or not ours at all, is told from a daemon of ours by a sentence."""

    def tenant_at(self, address):
        """A program with a slice's environment whose daemon is at `address`; what it says."""
        holder = self.run_program(*SLICE, command=["env", "-0"])
        env = dict(pair.split("=", 1) for pair in holder.process.communicate(timeout=DEADLINE_S)[0].decode().split("\0") if pair)
        env["FLEXAI_SOCKET"] = address
        result = subprocess.run([PROGRAM, f"alloc {ALLOC} 4"], env=env, capture_output=True, text=True, timeout=DEADLINE_S,
                                stdin=subprocess.DEVNULL)
        self.assertEqual((result.returncode, result.stdout), (0, f"{REFUSED}\n"), result)
        return result.stderr

    @staticmethod
    def flexai_at(address, *words):
        result = subprocess.run([FLEXAI, *words], env=clean_environment(FLEXAI_SOCKET=address), capture_output=True, text=True,
                                timeout=DEADLINE_S, stdin=subprocess.DEVNULL)
        return result.returncode, result.stderr

    def check_tenant(self, answer, sentence):
        peer = Peer(answer)
        self.addCleanup(peer.close)
        self.assertRegex(self.tenant_at(peer.address), r"\Aflexai: no slice: " + sentence)

    def test_a_daemon_of_another_protocol(self):
        sentence = f"the peer speaks protocol {VERSION + 1}, this program {VERSION}; use flexai, flexaid and libraries of one release"
        self.check_tenant(answer_in_next_protocol, sentence)
        peer = Peer(answer_in_next_protocol)
        self.addCleanup(peer.close)
        self.assertEqual(self.flexai_at(peer.address, "status"), (1, f"flexai: {sentence}\n"))
        self.assertEqual(self.flexai_at(peer.address, "run", "true"), (125, f"flexai: {sentence}\n"))

    def test_something_else_at_the_address(self):
        self.check_tenant(answer_gibberish, "what came over the socket is not flexai's protocol")

    def test_an_attachment_of_another_version(self):
        self.check_tenant(attach_in_another_version, "the daemon's answer is of another version; use the library and the daemon")

    def test_a_region_of_another_version(self):
        region = struct.pack("<IIII", 0x52584C46, 7, 4096, 512).ljust(4096, b"\0")
        self.check_tenant(attach_to(region), r"region version 7 does not fit this program, which knows \d+; use the library and")

    def test_a_region_that_is_none(self):
        self.check_tenant(attach_to(b"\0" * 4096), "the file that was passed is not a region")
        self.check_tenant(attach_to(b"\0"), "the file that was passed is not a region")
        self.check_tenant(attach_to(b"\0" * 4096, fixed=False), "the file that was passed is not a region: its size may change")

    def test_the_daemon_tells_a_peer_of_another_version(self):
        for header in HEADER.pack(MAGIC, 9, ATTACH, 0), HEADER.pack(0x50545448, VERSION, ATTACH, 0):
            with connect(self.daemon.address) as peer:
                peer.sendall(header)
                self.assertEqual(HEADER.unpack(read_exactly(peer, HEADER.size))[:2], (MAGIC, VERSION))
                self.assertEqual(peer.recv(1), b"")
        self.assertEqual(self.daemon.process.poll(), None)

    def test_the_daemon_tells_a_library_of_another_version(self):
        for request in b"", struct.pack("<32siiQIiIiQii", b"s-none", 1, 1, 1, 1, 1, 7, -1, 0, 1, 0):
            with connect(self.daemon.address) as peer:
                peer.sendall(HEADER.pack(MAGIC, VERSION, ATTACH, len(request)) + request)
                reply = read_exactly(peer, HEADER.unpack(read_exactly(peer, HEADER.size))[3])
                _, _, _, message, hint = struct.unpack("<iiQ240s240s", reply)
                self.assertRegex(message.rstrip(b"\0").decode(), r"the library (is of another version|speaks region version 7, the daemon \d+)")
                self.assertEqual(hint.rstrip(b"\0"), b"use the library and the daemon of one release")

    @needs_root
    def test_a_socket_of_another_user(self):
        other = Peer(answer_gibberish, NOBODY)
        self.addCleanup(other.close)
        sentence = f"the socket {other.address} belongs to user {NOBODY}, neither you nor root; stop that program, or set FLEXAI"
        self.assertIn("flexai: no slice: " + sentence, self.tenant_at(other.address))
        for words in ["status"], ["run", "true"]:
            code, told = self.flexai_at(other.address, *words)
            self.assertEqual(code, 125)
            self.assertIn("flexai: " + sentence, told)


if __name__ == "__main__":
    unittest.main(verbosity=2)
