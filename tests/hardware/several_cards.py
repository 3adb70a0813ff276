#!/usr/bin/env python3
"""Two slices on two cards of one host, and a PyTorch program with a rank in each: NCCL between them, beside the same natively.

several_cards.py --build build/release [--out FILE.json]

Needs two cards. Each rank adds up a GiB with the other, then does so for two seconds; then the same under limits of 30 %, where each card
gives what its slice may have. Exit code 1 where a sum was wrong or a rank did not end.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from machine import Machine

RANK = """
import os, time, torch, torch.distributed as dist
rank = int(os.environ["RANK"])
dist.init_process_group("nccl", device_id=torch.device("cuda:0"))
x = torch.full((1 << 28,), float(rank + 1), device="cuda")
dist.all_reduce(x)
assert float(x[7]) == 3.0 and float(x[-1]) == 3.0
torch.cuda.synchronize()
begin, rounds = time.monotonic(), 0
while time.monotonic() - begin < 2.0:
    x.fill_(1.0)
    dist.all_reduce(x)
    torch.cuda.synchronize()
    rounds += 1
print("right, GB/s", round(rounds * x.numel() * 4 / (time.monotonic() - begin) / 1e9, 1), "cards seen", torch.cuda.device_count(), flush=True)
dist.destroy_process_group()
"""


def pair(machine, cards, limit, port):
    """Both ranks' last lines; with a limit each in a slice of its own, natively without one."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(RANK)
        script.flush()
        ranks = []
        for rank, card in enumerate(cards):
            env = {**machine.env, "RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                   "NCCL_DEBUG": "INFO"}
            words = [sys.executable, script.name]
            if limit:
                words = [machine.build / "bin/flexai", "run", "--quiet", "--card", card["card"], "--share", "30%", "--limit", f"{limit}%",
                         "--memory", "8Gi", "--nowait", "--", *words]
            else:
                env["CUDA_VISIBLE_DEVICES"] = card["uuid"]
            ranks.append(subprocess.Popen(list(map(str, words)), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        said = []
        for child in ranks:
            try:
                out = child.communicate(timeout=60)[0]
            except subprocess.TimeoutExpired:
                child.kill()
                out = child.communicate()[0] + "\nno end within 60 s"
            said.append({"code": child.returncode, "says": (re.findall(r"^right.*", out, re.M) or [out[-1500:]])[-1],
                         "by": sorted(set(re.findall(r"via (\S+)", out)))})
        return said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--out")
    options = parser.parse_args()
    machine = Machine(options.build)
    found, bad = {}, False
    try:
        listed = subprocess.run([machine.build / "bin/flexai", "cards", "-o", "json"], env=machine.env, capture_output=True, text=True, check=True)
        cards = [card for card in json.loads(listed.stdout)["cards"] if card["backend"] == "cuda"][:2]
        if len(cards) < 2:
            sys.exit("this host has no two cards")
        for port, (name, limit) in enumerate((("natively", None), ("in two slices", 100), ("under 30 %", 30)), 29511):
            found[name] = pair(machine, cards, limit, port)
            print(name, *(f"rank {i}: {said['says']} by {said['by']}" for i, said in enumerate(found[name])), sep="\n  ", flush=True)
            bad |= any(said["code"] != 0 for said in found[name])
    finally:
        machine.close()
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps({"card": cards[0], "rows": found}, indent=1) + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    os.environ.setdefault("NCCL_NVLS_ENABLE", "0")  # multicast is not what is looked at here
    sys.exit(main())
