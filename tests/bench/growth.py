#!/usr/bin/env python3
"""How do decisions per second change with the nodes? The recorded cluster of examples/2_fill_a_cluster, repeated.

One line per size; with --plot the same as a picture. The pods grow with the cluster, so that it gets full every time.
"""
import argparse
import gzip
import json
import math
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
LISTS = ROOT / "examples/2_fill_a_cluster"
WIDTH, HEIGHT, EDGE = 560, 320, 60


def measure(flexai, head, rows, times, folder):
    """(nodes, decisions per second) of the cluster taken `times` times."""
    nodes = pathlib.Path(folder) / "nodes.csv"
    nodes.write_text("\n".join([head, *(rows * times)]) + "\n")
    done = subprocess.run([flexai, "sim", "openb", "--nodes", nodes, "--pods", LISTS / "openb_pod_list_default.csv.gz", "--seeds", "42",
                           "-o", "json"], check=True, capture_output=True, text=True)
    return len(rows) * times, json.loads(done.stdout)["decisions_per_second"]


def picture(found):
    """Both axes logarithmic: a scan of all nodes would be a line that falls by a decade each decade."""
    across, up = (3, 5), (2, 6)  # powers of ten

    def x(nodes):
        return EDGE + (math.log10(nodes) - across[0]) / (across[1] - across[0]) * (WIDTH - EDGE - 20)

    def y(speed):
        return HEIGHT - EDGE - (math.log10(speed) - up[0]) / (up[1] - up[0]) * (HEIGHT - EDGE - 40)

    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="#fff"/>',
           f'<text x="{WIDTH / 2}" y="20" text-anchor="middle">Decisions per second, one thread</text>',
           f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">nodes</text>']
    for power in range(across[0], across[1] + 1):
        svg += [f'<path stroke="#ddd" d="M{x(10**power):.1f} {y(10**up[0]):.1f}V{y(10**up[1]):.1f}"/>',
                f'<text x="{x(10**power):.1f}" y="{HEIGHT - EDGE + 18}" text-anchor="middle">{10**power:,}</text>']
    for power in range(up[0], up[1] + 1):
        svg += [f'<path stroke="#ddd" d="M{x(10**across[0]):.1f} {y(10**power):.1f}H{x(10**across[1]):.1f}"/>',
                f'<text x="{EDGE - 6}" y="{y(10**power) + 4:.1f}" text-anchor="end">{10**power:,}</text>']
    first = found[0]
    for name, colour, points in (("measured", "#0b62a4", found), ("if every node were looked at", "#999",
                                                                 [(nodes, first[1] * first[0] / nodes) for nodes, _ in found])):
        line = " ".join(f"{x(nodes):.1f},{y(speed):.1f}" for nodes, speed in points)
        svg += [f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{line}"/>',
                f'<text x="{x(points[-1][0]) - 8:.1f}" y="{y(points[-1][1]) - 8:.1f}" text-anchor="end" fill="{colour}">{name}</text>']
    return "\n".join([*svg, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flexai", default=ROOT / "build/release/bin/flexai", help="the program")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 2, 4, 8, 16, 41], help="how often the cluster is repeated")
    parser.add_argument("--plot", metavar="FILE", help="also draw it as SVG")
    options = parser.parse_args()
    head, *rows = gzip.decompress((LISTS / "openb_node_list_gpu_node.csv.gz").read_bytes()).decode().splitlines()
    found = []
    print(f"{'NODES':>8}{'DECISIONS/s':>13}")
    with tempfile.TemporaryDirectory() as folder:
        for times in options.times:
            found.append(measure(options.flexai, head, rows, times, folder))
            print(f"{found[-1][0]:>8,}{found[-1][1]:>13,.0f}", flush=True)
    if options.plot:
        pathlib.Path(options.plot).write_text(picture(found))


if __name__ == "__main__":
    main()
