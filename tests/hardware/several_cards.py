#!/usr/bin/env python3
"""Two cards of one host: a PyTorch program with a rank on each (NCCL between them), natively, in a slice for each rank, in one slice of
both cards, and in half of both cards beside somebody else on each; and one process that uses both.

several_cards.py --build build/release [--seconds 3] [--out FILE.json]

Needs two cards. Ranks add up a GiB with each other and say how many bytes a second went through. Exit code 1 where a sum was wrong, memory
passed a limit, or somebody did not end.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from machine import Machine

PROGRAM = """
import os, subprocess, sys, time, torch, torch.distributed as dist
SECONDS = float(os.environ["SECONDS"])

def timed(step):
    for _ in range(3): step()
    torch.cuda.synchronize()
    begin, rounds = time.monotonic(), 0
    while time.monotonic() - begin < SECONDS:
        step()
        torch.cuda.synchronize()
        rounds += 1
    return rounds / (time.monotonic() - begin)

def rank(card):
    device = torch.device("cuda", card)
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", device_id=device)
    x = torch.full((1 << 28,), float(dist.get_rank() + 1), device=device)
    dist.all_reduce(x)
    assert float(x[7]) == 3.0 and float(x[-1]) == 3.0
    def step():
        x.fill_(1.0)
        for _ in range(8): dist.all_reduce(x)
    rate = round(timed(step) * 8 * x.numel() * 4 / 1e9, 1)
    os.write(1, f"right, GB/s {rate} cards seen {torch.cuda.device_count()}".encode() + bytes([10]))  # both ranks' lines whole
    dist.destroy_process_group()

def neighbour():
    a = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
    def step():
        for _ in range(8): a @ a
    while True:
        print("rate", time.monotonic(), timed(step), flush=True)

def both():
    limit = int(os.environ["LIMIT"])
    for card in range(torch.cuda.device_count()):
        held = []
        try:
            while True: held.append(torch.empty(64 << 20, dtype=torch.uint8, device=f"cuda:{card}"))
        except torch.OutOfMemoryError: pass
        free, total = torch.cuda.mem_get_info(card)
        print("card", card, "held MiB", len(held) * 64, "free MiB", free >> 20, "total MiB", total >> 20, flush=True)
        assert len(held) * 64 << 20 <= limit and total <= limit
        del held
        torch.cuda.empty_cache()
    a = [torch.randn(2048, 2048, device=f"cuda:{card}") for card in range(torch.cuda.device_count())]
    b = a[0].to("cuda:1") @ a[1]
    assert torch.allclose(b.cpu(), a[0].cpu() @ a[1].cpu(), atol=0.5)
    print("right", flush=True)

if sys.argv[1] == "ranks":
    children = [subprocess.Popen([sys.executable, __file__, "rank", str(i)], env={**os.environ, "RANK": str(i)}) for i in range(2)]
    sys.exit(max(abs(child.wait()) for child in children))
{"rank": lambda: rank(int(sys.argv[2])), "neighbour": neighbour, "both": both}[sys.argv[1]]()
"""
LIMIT = 8 << 30


class Cards:
    def __init__(self, machine, script, seconds):
        self.machine, self.script = machine, script
        self.env = {**machine.env, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "NCCL_DEBUG": "INFO", "SECONDS": str(seconds),
                    "LIMIT": str(LIMIT)}
        self.port = 29511
        listed = subprocess.run([machine.build / "bin/flexai", "cards", "-o", "json"], env=machine.env, capture_output=True, text=True, check=True)
        self.cards = [card for card in json.loads(listed.stdout)["cards"] if card["backend"] == "cuda"][:2]

    def start(self, words, options=(), **env):
        """The script with `words`; in a slice if there are options."""
        command = [sys.executable, self.script, *words]
        if options:
            command = [self.machine.build / "bin/flexai", "run", "--quiet", "--memory", str(LIMIT), "--nowait", *options, "--", *command]
        return subprocess.Popen(list(map(str, command)), env={**self.env, "MASTER_PORT": str(self.port), **env}, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    @staticmethod
    def said(child, seconds=90):
        try:
            out = child.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            out = child.communicate()[0] + f"\nno end within {seconds} s"
        return {"code": child.returncode, "says": re.findall(r"^(?:right|card).*", out, re.M) or [out[-1500:]],
                "by": sorted(set(re.findall(r"via (\S+)", out)))}

    def natively(self):
        names = ",".join(card["uuid"] for card in self.cards)
        return [self.said(self.start(["ranks"], CUDA_VISIBLE_DEVICES=names))]

    def slice_for_each(self):
        ranks = [self.start(["rank", 0], ["--card", card["card"], "--share", "100%"], RANK=str(i)) for i, card in enumerate(self.cards)]
        return [self.said(child) for child in ranks]

    def named(self):
        return ",".join(card["card"] for card in self.cards)

    def one_slice(self, share="100%"):
        return [self.said(self.start(["ranks"], ["--card", self.named(), "--share", share]))]

    def limited(self):
        return self.one_slice("30%")

    def one_process(self):
        return [self.said(self.start(["both"], ["--card", self.named(), "--share", "100%"]))]

    def beside_others(self):
        """Half of both cards, with half of each card's time for somebody else, who are measured alone first."""
        others = [self.start(["neighbour"], ["--card", card["card"], "--share", "50%", "--limit", "100%"]) for card in self.cards]
        alone = [self.rate(child) for child in others]
        ranks = self.start(["ranks"], ["--card", self.named(), "--share", "50%"], SECONDS=str(4 * float(self.env["SECONDS"])))
        def waited():
            return [each["throttled_seconds"] for each in self.machine.status()["slices"] if each["cards"] > 1]
        while ranks.poll() is None and min(waited() or [0]) < 0.5:
            time.sleep(0.05)  # poll
        begun, received = time.monotonic(), self.received()
        beside = [self.rate(child, begun) for child in others]
        seconds, now = time.monotonic() - begun, self.received()
        told = self.said(ranks)
        for child in others:
            child.kill()
            child.communicate()
        card_time = {who: round((now[who] - received[who]) / seconds, 3) for who in now if who in received}
        told["says"] += [f"others keep {[round(b / a, 3) for a, b in zip(alone, beside)]}", f"card time {card_time}"]
        return [told]

    def received(self):
        return {f"card {each['card']}, {'ranks' if each['cards'] > 1 else 'other'}": each["compute_received_seconds"]
                for each in self.machine.status()["slices"]}

    @staticmethod
    def rate(child, after=0.0):
        """The first that it has measured from then on."""
        for line in child.stdout:
            if line.startswith("rate") and float(line.split()[1]) >= after:
                return float(line.split()[2])
        sys.exit("a neighbour ended")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--out")
    options = parser.parse_args()
    machine = Machine(options.build)
    found, bad = {}, False
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(PROGRAM)
        script.flush()
        try:
            cards = Cards(machine, script.name, options.seconds)
            if len(cards.cards) < 2:
                sys.exit("this host has no two cards")
            for name, measure in (("natively", cards.natively), ("a slice for each rank", cards.slice_for_each),
                                  ("one slice", cards.one_slice), ("one slice, 30 %", cards.limited),
                                  ("one process on both", cards.one_process), ("half of both beside others", cards.beside_others)):
                begin = time.monotonic()
                found[name] = measure()
                cards.port += 1
                print(f"{name} ({time.monotonic() - begin:.0f} s)", *(f"{said['says']} by {said['by']}" for said in found[name]), sep="\n  ", flush=True)
                bad |= any(said["code"] != 0 for said in found[name])
                if options.out:
                    pathlib.Path(options.out).write_text(json.dumps({"card": cards.cards[0], "rows": found}, indent=1) + "\n")
        finally:
            machine.close()
    return 1 if bad else 0


if __name__ == "__main__":
    os.environ.setdefault("NCCL_NVLS_ENABLE", "0")  # multicast is not what is looked at here
    sys.exit(main())
