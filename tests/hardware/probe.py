#!/usr/bin/env python3
"""Whether a driver's levers hold, as a daemon finds it: tried at its start, remembered at the next, tried anew on demand, and anew beside a
program that computes.

probe.py [--build build/release] [--fake] [--out FILE]
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from machine import Machine  # noqa: E402
from tenant import FAILED, Tenant, calibrate, progress  # noqa: E402


def found(machine):
    """What is known of the card's levers once nothing is tried any more."""
    end = time.monotonic() + 60
    while (levers := next(each["levers"] for each in machine.status()["cards"] if each["backend"] == "cuda"))["state"] == "probing":
        if time.monotonic() > end:
            sys.exit(f"the probe does not end: {levers}")
        time.sleep(0.02)  # poll
    return levers


def anew(machine):
    """The same after `flexai doctor --probe`, how long that took, and what it says of cards."""
    began = time.monotonic()
    doctor = subprocess.run([machine.build / "bin/flexai", "doctor", "--probe", "-o", "json"], env=machine.env, capture_output=True,
                            text=True, timeout=60)
    took = time.monotonic() - began
    if not doctor.stdout:
        sys.exit(f"flexai doctor --probe: {doctor.stderr}")
    checks = [each for each in json.loads(doctor.stdout)["checks"] if each["check"].startswith("card ")]
    return {**found(machine), "seconds": round(took, 2), "doctor": checks}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--out")
    options = parser.parse_args()
    machine = Machine(options.build, options.fake)
    rows = {"at the first start": found(machine)}
    machine.daemon.terminate()
    machine.daemon.wait()
    machine.start_daemon()
    rows["remembered"] = found(machine)
    rows["anew"] = anew(machine)
    machine.memory = "2Gi"
    calibrate(machine)
    neighbour = Tenant(machine, "neighbour", "k1", 50).ready()
    before = progress([neighbour], 1)[0]
    rows["beside a program"] = anew(machine)
    after = progress([neighbour], 1)[0]
    neighbour.stop()
    for name, row in rows.items():
        print(f"{name}: {row['state']} {row['not_probed']} " + (f"in {row['seconds']} s" if "seconds" in row else f"at {row['probed_at']}"))
        for each in row["levers"]:
            print(f"  {'holds         ' if each['holds'] else 'DOES NOT HOLD '} {each['lever']}: {each['found']}")
    for each in rows["beside a program"]["doctor"]:
        print(f"{each['verdict']}  {each['check']}: {each['found']}")
    print(f"the program beside it: {before:.0f} ms of work a second before, {after:.0f} after")
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps({"rows": rows, "neighbour": [before, after]}, indent=1) + "\n")
    machine.close()
    for name, row in rows.items():
        if row["state"] != "probed" or not row["levers"] or not all(each["holds"] for each in row["levers"]):
            FAILED.append(f"{name}: not every lever holds")
    if rows["remembered"]["probed_at"] != rows["at the first start"]["probed_at"]:
        FAILED.append("the second daemon tried again")
    if not after > before / 2:
        FAILED.append("the program does not go on as before")
    print("FAILED: " + "; ".join(FAILED) if FAILED else "all as it must be")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
