"""The page of results from the JSON of tests/hardware/run: figures beside their bars, misses said."""
import statistics

HEAD = """# What was measured on an {model}

Written by `tests/hardware/run` from `{stem}.json` beside it; what was seen on the way, what was tried and what is only supposed is in
[the notes](hardware-notes.md). Everything as root but the row that says otherwise; each part once. What is not on this page was not run on real
hardware.

```sh
cmake --preset release && cmake --build --preset release
tests/hardware/run --build build/release
```

k01, k1, k10, k100: kernels of 0.1, 1, 10, 100 ms, a wait after each four; they say how far they are while they run. train: ResNet-50 in bf16,
batches of 128; gemm: 20 products of 4096 x 4096 bf16; graph: four replays of ResNet-50, batches of 8; while one step is waited for the next is under way.
Progress is work done against the same program with the whole card in the same run (of PyTorch's the better of before and after), in percent;
"card" is card time by the driver's trace of context switches ([ADR 0012](../adr/0012-a-turn-ends-by-stopping-channels.md)).
"clock": the multiprocessors' mean clock while the program had the card, against that while it ran alone. infer: ResNet-50 in fp16, batch 1, launch by launch; compile: a network of four layers by
torch.compile; jax: 20 products of 2048 x 2048 under jit. "Of native": in turns of a fraction of a second with the same program outside of any slice; "in
one process": such programs of one thread differ by a fifth from process to process, natively too, so that the calls of one in a slice led to us
and past us in turns of 4 ms (`switched.py`). Unsure: the standard error over rounds of four turns; what lies within about two of it of a bar (of
few rounds as many more as Student's t says) is not decided.
"""


def table(head, rows):
    return "\n".join(["| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows]]) + "\n"


def verdict(value, bar, least=False):
    return "met" if (value >= bar if least else value <= bar) else "**missed**"


def of(rows, *parts):
    return [row for row in rows if row["part"] in parts]


def card_line(part):
    card = part["card"]
    took = f", {part['seconds']:.0f} s" if "seconds" in part else ""
    return f"{card['model']}, driver {card['driver']}, {part['date']}{took}."


def limits(rows):
    rows = of(rows, "limit")
    if not rows:
        return ""
    kinds = list(dict.fromkeys(row["what"] for row in rows))
    asked = list(dict.fromkeys(row["asked"] for row in rows))
    lines = []
    for kind in kinds:
        mine = {row["asked"]: row for row in rows if row["what"] == kind}
        lines.append([kind, "progress", *(f"{mine[a]['got']:.2f}" for a in asked)])
        lines.append(["", "card", *(f"{mine[a]['card']:.2f}" for a in asked)])
        if any("clock" in row for row in mine.values()):
            lines.append(["", "clock", *(f"{mine[a]['clock']:.3f}" if "clock" in mine[a] else "-" for a in asked)])
            lines.append(["", "progress / clock", *(f"{mine[a]['got'] / mine[a]['clock']:.2f}" if "clock" in mine[a] else "-" for a in asked)])
    text = "## Alone under a hard limit\n" + table(["shape", "", *asked], lines)
    for name, key in (("by card time", "card_error"), ("by progress", "error")):
        errors = [abs(row[key]) for row in rows]
        mean, worst = sum(errors) / len(errors), max(errors)
        text += f"\n{name.capitalize()}: mean error {mean:.2f} points (bar 0.5: {verdict(mean, 0.5)}), worst {worst:.2f} (bar 1.5: {verdict(worst, 1.5)})."
    per_clock = [abs(row["got"] / row.get("clock", 1) - row["asked"]) for row in rows]
    if any("clock" in row for row in rows):
        text += (f"\nBy progress at one clock (train and gemm per clock, where the clock was seen): mean {sum(per_clock) / len(per_clock):.2f}, worst "
                 f"{max(per_clock):.2f}.")
    spins = [abs(row["error"]) for row in rows if row["what"].startswith("k") or row["what"] == "graph"]
    if spins:
        text += f"\nBy progress without train and gemm: mean {sum(spins) / len(spins):.2f}, worst {max(spins):.2f}."
    return text + "\n"


def together(rows):
    rows = of(rows, "pair", "many")
    if not rows:
        return ""
    lines = [[row["what"].replace("+", " + "), " / ".join(map(str, row["asked"])),
              " / ".join(f"{g:.2f}" for g in row["got"]), f"{max(map(abs, row['error'])):.2f}", " / ".join(f"{c:.2f}" for c in row["card"]), f"{row['sum']:.2f}", f"{sum(row['card']):.2f}"]
             for row in rows]
    errors = [abs(e) for row in rows for e in row["error"]]
    mean, worst, least = sum(errors) / len(errors), max(errors), min(row["sum"] for row in rows)
    by_card = [abs(c - a) for row in rows for c, a in zip(row["card"], row["asked"])]
    text = ("## Several, all always busy\n"
            + table(["tenants", "asked", "progress", "worst, of the sum", "card", "sum", "sum of card"], lines)
            + f"\nOf the sum: mean error {mean:.2f} points (bar 0.5: {verdict(mean, 0.5)}), worst {worst:.2f} (bar 1.5: {verdict(worst, 1.5)}); least sum "
              f"{least:.2f} (bar 98: {verdict(least, 98, True)}). By card time: worst {max(by_card):.2f} points off what was asked, least sum "
              f"{min(sum(row['card']) for row in rows):.2f}.\n")
    seen = [row for row in rows if any(clock != 1.0 for clock in row.get("clock", []))]
    if seen:
        lines = [[row["what"].replace("+", " + "), " / ".join(map(str, row["asked"])), " / ".join(f"{c:.3f}" for c in row["clock"]),
                  " / ".join(f"{g:.2f}" for g in per_clock(row)), f"{max(abs(e) for e in clock_errors(row)):.2f}"] for row in seen]
        errors = [abs(e) for row in rows for e in clock_errors(row)]
        text += ("\nWhere the card's clock was seen while train and gemm worked, against alone:\n\n"
                 + table(["tenants", "asked", "clock", "progress / clock", "worst, of the sum"], lines)
                 + f"\nOf the sum at one clock: mean error {sum(errors) / len(errors):.2f} points, worst {max(errors):.2f}.\n")
    return text


def opencl(rows):
    rows = of(rows, "opencl")
    alone = [row for row in rows if not isinstance(row["asked"], list)]
    pairs = [row for row in rows if isinstance(row["asked"], list)]
    if not rows:
        return ""
    text = ("## OpenCL, by NVIDIA's driver of it\nKernels of 1 ms, a wait after each four, which log when they have ended.\n\n"
            + table(["alone under a hard limit", *(row["asked"] for row in alone)],
                    [["progress", *(f"{row['got']:.2f}" for row in alone)], ["card", *(f"{row['card']:.2f}" for row in alone)]]))
    for name, key in (("by card time", "card_error"), ("by progress", "error")):
        errors = [abs(row[key]) for row in alone]
        text += f"\n{name.capitalize()}: mean error {sum(errors) / len(errors):.2f} points (bar 0.5: {verdict(sum(errors) / len(errors), 0.5)}), worst {max(errors):.2f}."
    for row in pairs:
        text += (f"\nBeside k1 at {' / '.join(map(str, row['asked']))}: progress {' / '.join(f'{g:.2f}' for g in row['got'])} "
                 f"({max(map(abs, row['error'])):.2f} points off, of the sum), card {' / '.join(f'{c:.2f}' for c in row['card'])}, sum {row['sum']:.2f}.")
    return text + "\n"


def per_clock(row):
    return [got / clock for got, clock in zip(row["got"], row.get("clock") or [1.0] * len(row["got"]))]


def clock_errors(row):
    got = per_clock(row)
    return [100 * g / sum(got) - a for g, a in zip(got, row["asked"])]


def others(rows):
    lines = []
    for row in rows:
        part, got = row["part"], row.get("got")
        if part == "borrow":
            met = got[0] >= 0.93 and got[1] >= 0.62
            lines.append(["works 4 ms, pauses 8 ms, at 50 % beside one always busy", f"{got[0]:.3f} of alone; the other {got[1]:.3f}",
                          f"0.93 / 0.62: {'met' if met else '**missed**'}"])
        elif part == "idle":
            lines.append(["always busy, beside one that launched, waits for nothing and is done", f"{got:.4f} of alone", f"0.99: {verdict(got, 0.99, True)}"])
        elif part == "wake":
            late = row["beside"][1] - row["alone"][1]
            lines.append(["first kernel (0.1 ms) of one that rested, beside one always busy: launch to end, p50 / p99 / most",
                          f"alone {' / '.join(map(str, row['alone']))} ms, beside {' / '.join(map(str, row['beside']))} ms",
                          f"p99 2 ms later at most: {verdict(late, 2.0)}"])
        elif part == "copy":
            lines.append(["pinned copies both ways, compared, beside k1", f"{row['what']}; {got[0]:.3f} of alone, the kernels {got[1]:.3f}",
                          "none bad: " + ("met" if "bad 0" in row["what"] else "**missed**")])
        elif part == "live":
            lines.append([f"`flexai {row['what']}`, three times: acts after", ", ".join(f"{ms:.1f}" for ms in got) + " ms",
                          f"100 ms: {verdict(max(got), 100)}"])
        elif part == "serve":
            ratio, kept = row["beside"][3] / row["alone"][3], row["training"]
            # Nobody is faster beside others: it is alone that was disturbed then, and says nothing of the ratio.
            found = "**missed**" if kept < 0.88 or ratio > 1.15 else "met" if ratio >= 1 else "not decided, alone was slower"
            lines.append(["100 requests a second (ResNet-50, batch 1, graph), high priority, beside train: p50 / p95 / p99",
                          f"alone {' / '.join(map(str, row['alone'][1:]))} ms, beside {' / '.join(map(str, row['beside'][1:]))} ms: {ratio:.2f} x; "
                          f"train keeps {kept:.3f}{left_of(row)}", f"1.15 x and 0.88: {found}"])
        elif part == "calls":
            most = 1000 if "Mem" in row["what"] else 100
            more, noise = row["more"], row["noise"]
            lines.append([f"without a limit: {row['what']}", f"{row['native']:.0f} ns past us; to us {more:+.0f}, unsure by {noise:.0f}",
                          f"{most} ns: {verdict(more, most) if abs(more - most) > sure(row) else 'not decided'}"])
        elif part == "overhead":
            decided = abs(got - 0.995) > sure(row)
            threads = f"; our threads take {100 * row['threads']:.2f} % of a core meanwhile" if "threads" in row else ""
            lines.append([f"without a limit: {row['what']}, {row['how']}", f"{got:.4f} of native, unsure by {row['noise']:.4f}{threads}",
                          f"0.995: {verdict(got, 0.995, True) if decided else 'not decided'}"])
    return "## Borrowing, priority, cost\n" + table(["what", "result", "bar"], lines) if lines else ""


def sure(row):
    """How far from a bar a mean must be to be on one side of it in 19 of 20 times: Student's t, by the number of rounds. A row that does not say how
    many there were does not say how sure it is."""
    if not (rounds := row.get("rounds")):
        return float("inf")
    return next(t for least, t in ((16, 2.13), (8, 2.36), (4, 3.18), (2, 12.71)) if rounds >= least) * row["noise"]


def left_of(row):
    """What the requests left of the card, and what of it training had."""
    if "card" not in row:
        return ""
    clock = f", at a clock of {row['clock']:.3f} of alone" if "clock" in row else ""
    return f" with {row['card'][1]:.1f} % of the card{clock}; the requests had {row['card'][0]:.1f} %"


def memory(part):
    if not part:
        return ""
    rows = part["memory"]["rows"]
    lines = [[row["way"], row["given_mib"], f"{row['driver_mib']:.0f}", row["over_bytes"], f"{row['usable'] * 100:.2f} %"] for row in rows]
    over, usable = max(row["over_bytes"] for row in rows), min(row["usable"] for row in rows)
    made, without = part["memory"].get("contexts"), ", ".join(part["memory"].get("without", ()))
    lender = " (and of the one that lends to it, with cuIpcOpenMemHandle)" if any("cuIpc" in row["way"] for row in rows) else ""
    contexts = "" if made is None else f"contexts made and ended with memory in them that nobody freed: {made} of 16; "
    text = (f"## Memory\n{card_line(part)} A slice of {part['memory']['limit_mib']} MiB; each way to get memory takes all that it is given, then 100 rounds in "
            "which memory of all ways comes and goes, then all again (the second half of the rows). \"Held\" is what the management library says of the "
            f"process, its context included{lender}; managed memory is added, because the driver's figures of processes leave it out.\n\n"
            + table(["way", "given MiB", "held MiB", "bytes over", "usable"], lines)
            + f"\nMost bytes over: {over} (bar 0: {verdict(over, 0)}); least usable {usable * 100:.2f} % (bar 99: {verdict(usable, 0.99, True)}); "
              f"{contexts}{f'the driver does not do {without}; ' if without else ''}at most {part['memory']['peak'] / (1 << 20):.0f} MiB held in the random rounds.\n\n"
              f"Look-ups by `cuGetProcAddress(_v2)` beside the driver's own: {part['look_up']['summary']}.\n")
    if "unasked" in part:
        rows = part["unasked"]["rows"]
        over = max((row["over_bytes"] for row in rows), default=0)
        text += ("\n## What the driver takes although nobody asks\nIn such a slice, nearly full, each until it is refused (`card_unasked`).\n\n"
                 + table(["what", "made", "held MiB", "bytes over"], [[row["what"], row["made"], f"{row['held_mib']:.0f}", row["over_bytes"]] for row in rows])
                 + f"\nMost bytes over: {over} (bar 0: {verdict(over, 0)}).\n")
    if "programs" in part:
        said = [[name, "<br>".join(line for line in text.replace("|", "/").splitlines() if line.strip())[:300]] for name, text in part["programs"].items()]
        text += "\n## Programs in the slice\n" + table(["program", "says"], said)
    for what, each in part.get("startup", {}).items():
        text += "\n" + start_of(what, each)
    return text


def start_of(what, each):
    """The medians of a start's phases and what is added in all. The verdict leaves an import out: nothing of a card is asked for in it, and how long
    it takes differs by far more than the bar from one to the next."""
    said = {"small": "A small program's start, to the end of its first kernels", "torch": "PyTorch's start, to its first tensor on the card"}[what]
    phases, times = list(each["native"]), len(next(iter(each["native"].values())))
    middle = {name: {phase: statistics.median(ms) for phase, ms in took.items()} for name, took in each.items()}
    added = {phase: middle["slice"][phase] - middle["native"][phase] for phase in phases}
    ours = [phase for phase in phases if phase != "import"]
    more = sum(added[phase] for phase in ours)
    unsure = unsure_of(each, ours)
    found = verdict(more, 50) if abs(more - 50) > 2 * unsure else "not decided"
    rows = [["natively", *(f"{ms:.1f}" for ms in middle["native"].values())], ["in a slice", *(f"{ms:.1f}" for ms in middle["slice"].values())],
            ["added", *(f"{added[phase]:+.1f}" for phase in phases)]]
    without = f" without the import (which differs by {added['import']:+.0f}, unsure by {unsure_of(each, ['import']):.0f})" if "import" in phases else ""
    return (f"{said}, medians of {times} in ms; added{without}: {more:+.1f}, unsure by {unsure:.1f} (bar 50: {found}).\n\n" + table(["", *phases], rows))


def unsure_of(each, phases):
    """Of the difference of two medians of what these phases take together: 1.25 standard errors of a mean, by how wide the middle half is."""
    total = 0.0
    for took in each.values():
        sums = [sum(one) for one in zip(*(took[phase] for phase in phases))]
        low, _, high = statistics.quantiles(sums, n=4)
        total += (1.25 * (high - low) / 1.35) ** 2 / len(sums)
    return total ** 0.5


def probe(part):
    if not part:
        return ""
    lines = [[name, row["state"], "; ".join(f"{each['lever']}: {each['found']}" for each in row["levers"])] for name, row in part["rows"].items()]
    return f"## Levers as the daemon tries them\n{card_line(part)}\n\n" + table(["when", "state", "found"], lines)


def faults(part):
    if not part:
        return ""
    lines = [[row["part"], row["what"]] for row in part["rows"]]
    return (f"## What must not break\n{card_line(part)}\n\n" + table(["what", "result"], lines)
            + "\n" + ("Nothing failed.\n" if not part["failed"] else "**Failed**: " + "; ".join(part["failed"]) + "\n"))


def page(results, stem):
    shares = results.get("shares")
    rows = shares["rows"] if shares else []
    model = next((part["card"]["model"] for part in results.values()), stem)  # where no part said anything
    parts = [HEAD.format(model=model, stem=stem), card_line(shares) if shares else "", limits(rows), together(rows), opencl(rows), others(rows), faults(results.get("faults")),
             probe(results.get("probe")), memory(results.get("memory"))]
    return "\n".join(part for part in parts if part)
