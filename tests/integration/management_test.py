"""What the management library tells a program in a slice: its own processes only, by every list, and no change of the card."""
import json
import pathlib
import subprocess
import sys
import textwrap
import unittest

from tenants import BUILD, DEADLINE_S, MIB, TEST_CARD, WithDaemon, clean_environment

CALLS = [sys.executable, str(pathlib.Path(__file__).with_name("driver_calls.py"))]
# NVML_ERROR_NO_PERMISSION, NVML_ERROR_NOT_FOUND, NVML_ERROR_INSUFFICIENT_SIZE
REFUSED, NOT_FOUND, TOO_SMALL = 4, 6, 7
# Asks in a process that holds a context of its own, and prints what it is told.
ASKS = textwrap.dedent("""
    import ctypes, json, os, sys
    u, q, p, b = ctypes.c_uint, ctypes.c_ulonglong, ctypes.c_void_p, ctypes.byref
    if sys.argv[1] == "use":
        driver, context, at = ctypes.CDLL("libcuda.so.1"), p(), ctypes.c_uint64()
        assert driver.cuInit(0) == 0 and driver.cuDevicePrimaryCtxRetain(b(context), 0) == 0 and driver.cuCtxSetCurrent(context) == 0
        assert driver.cuMemAlloc_v2(b(at), ctypes.c_size_t(64 << 20)) == 0
    ml, card = ctypes.CDLL(sys.argv[2]), p()
    assert ml.nvmlInit_v2() == 0 and ml.nvmlDeviceGetHandleByIndex_v2(0, b(card)) == 0
    def shape(*fields):
        return type("Entry", (ctypes.Structure,), {"_fields_": list(fields)})
    process = shape(("pid", u), ("bytes", q), ("gpu", u), ("compute", u))
    sample = shape(("pid", u), ("at", q), ("sm", u), ("memory", u), ("encoder", u), ("decoder", u))
    info = shape(("at", q), ("pid", u), ("rest", u * 6))
    detail = shape(("pid", u), ("bytes", q), ("gpu", u), ("compute", u), ("protected", q))
    session = shape(("id", u), ("pid", u), ("rest", u * 6))
    capture = shape(("id", u), ("pid", u), ("rest", u * 10))
    told = {}
    told["rooms"] = {}
    def tell(name, entry, call):
        told["rooms"][name] = []
        for room in 0, 1:
            all, count = (entry * room)(), u(room)
            told["rooms"][name].append([call(all if room else None, count), count.value])
        all, count = (entry * 16)(), u(16)
        code = call(all, count)
        told[name] = code or [each.pid if hasattr(each, "pid") else each for each in all[:count.value]]
    for name in "Compute", "Graphics", "MPSCompute":
        call = getattr(ml, f"nvmlDeviceGet{name}RunningProcesses_v3")
        tell(name, process, lambda all, count: call(card, b(count), all))
    tell("utilization", sample, lambda all, count: ml.nvmlDeviceGetProcessUtilization(card, all, b(count), q(0)))
    def listed(entry, function, *before):
        holder = shape(*[(f"f{i}", kind) for i, kind in enumerate((*before, u, *((q,) if function.endswith("Info") else ()), p))])
        def call(all, count):
            list = holder()
            setattr(list, f"f{len(before)}", count.value)
            setattr(list, holder._fields_[-1][0], ctypes.addressof(all) if all else None)
            code = getattr(ml, function)(card, b(list))
            count.value = getattr(list, f"f{len(before)}")
            return code
        return call
    tell("utilizations", info, listed(info, "nvmlDeviceGetProcessesUtilizationInfo", u))
    tell("details", detail, listed(detail, "nvmlDeviceGetRunningProcessDetailList", u, u))
    tell("encoder", session, lambda all, count: ml.nvmlDeviceGetEncoderSessions(card, b(count), all))
    tell("capture", capture, lambda all, count: ml.nvmlDeviceGetFBCSessions(card, b(count), all))
    tell("accounting", u, lambda all, count: ml.nvmlDeviceGetAccountingPids(card, b(count), all))
    stats = (ctypes.c_char * 256)()
    told["stats"] = [ml.nvmlDeviceGetAccountingStats(card, u(int(pid)), stats) for pid in (os.getpid(), sys.argv[3])]
    told["changes"] = [ml.nvmlDeviceSetComputeMode(card, u(2)), ml.nvmlDeviceSetComputeMode(card, u(2)), ml.nvmlDeviceSetPersistenceMode(card, u(1))]
    told["affinity"] = ml.nvmlDeviceSetCpuAffinity(card)
    print(json.dumps(told), flush=True)
""")
LISTS = "Compute", "utilization", "utilizations", "details", "encoder", "capture", "accounting"


@unittest.skipUnless(TEST_CARD == "fake_cuda", "needs the fake card")
class Management(WithDaemon):
    def setUp(self):
        super().setUp()
        self.neighbour = self.run_program("--share", "20%", command=CALLS)
        self.assertEqual(self.neighbour.do("retain"), "ok")
        self.assertEqual(self.neighbour.do(f"alloc {64 * MIB}"), "ok 0")

    def test_a_program_without_a_slice_sees_everybody(self):
        """So that what the other test does not see is there."""
        ran = subprocess.run([sys.executable, "-c", ASKS, "look", BUILD / "lib/libfake_nvml.so", str(self.neighbour.pid)],
                             env=clean_environment(), capture_output=True, text=True, timeout=DEADLINE_S)
        told = json.loads(ran.stdout)
        for name in LISTS:
            self.assertEqual(told[name], [self.neighbour.pid], name)
        self.assertEqual((told["stats"], told["changes"], told["affinity"]), ([0, 0], [0, 0, 0], 0))

    def test_a_tenant_sees_itself_and_changes_nothing(self):
        program = self.run_program("--share", "20%", command=[sys.executable, "-c", ASKS, "use", "libnvidia-ml.so.1", str(self.neighbour.pid)],
                                   env={"FLEXAI_FAKE_MPS": "100"})
        told = json.loads(program.line())
        # Others count nowhere: one entry is room enough, and no list has more.
        for name in LISTS:
            self.assertEqual(told[name], [program.pid], name)
            asked = 0 if name in ("encoder", "capture") else TOO_SMALL
            self.assertEqual(told["rooms"][name], [[asked, 1], [0, 1]], name)
        self.assertEqual([told["rooms"][name] for name in ("Graphics", "MPSCompute")], [[[0, 0], [0, 0]]] * 2)
        self.assertEqual((told["Graphics"], told["MPSCompute"]), ([], []))
        self.assertEqual((told["stats"], told["changes"], told["affinity"]), ([0, NOT_FOUND], [REFUSED] * 3, 0))
        said = program.told().splitlines()
        self.assertEqual(said, [f"flexai: nvmlDeviceSet{what} refused: a tenant does not change the card of all; do it outside of flexai run"
                                for what in ("ComputeMode", "PersistenceMode")])


if __name__ == "__main__":
    unittest.main(verbosity=2)
