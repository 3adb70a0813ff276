#!/usr/bin/env python3
"""Inspects the built in-process libraries: what they need, what they export, and that loading them does nothing.

check_libraries.py BUILD_DIR [--glibc 2.28]
  needs    only libc, libdl, libpthread, libm and the dynamic linker; with --glibc no symbol younger than that
  exports  exactly the names of the export map the library was linked with; no C++ symbol
  manners  no exit, no printing to stdout
  loading  (libraries for this machine) opens no file, starts no thread, maps nothing but what it needs, prints nothing
"""
import argparse
import pathlib
import platform
import re
import subprocess
import sys

NEEDED = re.compile(r"(libc\.so\.6|libdl\.so\.2|libpthread\.so\.0|libm\.so\.6|ld-linux[\w-]*\.so\.[12])")
REFUSED = {"exit", "_exit", "_Exit", "quick_exit", "printf", "vprintf", "puts", "putchar", "stdout",
           "__printf_chk", "__vprintf_chk", "_ZSt4cout"}
MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64"}

# Runs in a fresh process: what does loading the library, and nothing more, change?
LOAD = r"""
import ctypes, os, sys
def state():
    maps = {line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if len(line.split(maxsplit=5)) == 6}
    files = {name: os.readlink("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + name)}
    return {m for m in maps if m.startswith("/")}, files, len(os.listdir("/proc/self/task")), dict(os.environ)
before = state()
ctypes.CDLL(sys.argv[1], os.RTLD_NOW)
after = state()
own = os.path.realpath(sys.argv[1])
extra = sorted(m for m in after[0] - before[0] if os.path.realpath(m) != own and not os.path.basename(m).startswith(("libdl", "libpthread", "libm.", "libm-", "libc")))
problems = []
if extra: problems.append("loading it also loads " + ", ".join(extra))
if after[1] != before[1]: problems.append("loading it opens or closes files")
if after[2] != before[2]: problems.append("loading it starts threads")
if after[3] != before[3]: problems.append("loading it changes the environment")
print("\n".join(problems))
"""


def read_elf(*options):
    return subprocess.run(["readelf", "-W", *options], capture_output=True, text=True, check=True,
                          env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout


def symbols(path):
    """(undefined, defined) dynamic symbols as sets of (name, version or "")."""
    undefined, defined = set(), set()
    for line in read_elf("--dyn-syms", path).splitlines():
        parts = line.split()
        if len(parts) < 8 or not parts[0].rstrip(":").isdigit() or parts[4] == "LOCAL" or parts[6] == "ABS":
            continue
        name, _, version = parts[7].partition("@")
        (undefined if parts[6] == "UND" else defined).add((name, version.lstrip("@")))
    return undefined, defined


def export_maps(build):
    """Library path relative to the build folder -> the version script it was linked with."""
    found, target = {}, None
    for line in (build / "build.ninja").read_text().splitlines():
        if line.startswith("build "):
            target = line[len("build "):].split(":")[0].split(" | ")[0].strip()
        script = re.search(r"--version-script=(\S+)", line)
        if script and target:
            found[target] = build / script.group(1)
    return found


def names_in_map(path):
    """The global names of a version script; wildcards stay as they are."""
    text = re.sub(r"/\*.*?\*/|#[^\n]*", "", path.read_text(), flags=re.DOTALL)
    names = set()
    for body in re.findall(r"\{(.*?)\}", text, re.DOTALL):
        section = "global"
        for word in re.findall(r"(global|local)\s*:|([^\s;:{}]+)\s*;", body):
            section = word[0] or section
            if word[1] and section == "global":
                names.add(word[1])
    return names


def check_library(path, script, glibc):
    needed = re.findall(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]", read_elf("-d", path))
    for name in needed:
        if not NEEDED.fullmatch(name):
            yield f"needs {name}; only libc, libdl, libpthread, libm and the dynamic linker are on every machine"
    undefined, defined = symbols(path)
    for name, version in sorted(undefined):
        age = re.fullmatch(r"GLIBC_(\d+(?:\.\d+)*)(?: \(\d+\))?", version)
        if glibc and age and tuple(map(int, age.group(1).split("."))) > glibc:
            yield f"needs {name} of {version}; the oldest glibc to run on is {'.'.join(map(str, glibc))}"
        if name in REFUSED:
            yield f"calls {name}: code in users' processes neither ends them nor prints to stdout"
    exported = {name for name, _ in defined}
    for name in sorted(exported):
        if name.startswith("_Z"):
            yield f"exports the C++ symbol {name}"
    if script is None:
        yield "was linked without an export map (--version-script)"
        return
    wanted = names_in_map(script)
    for name in sorted(exported - wanted):
        yield f"exports {name}, which is not in {script.name}"
    for name in sorted(wanted - exported):
        yield f"does not export {name}, which is in {script.name}"


def check_loading(path):
    machine = re.search(r"Machine:\s+(.*)", read_elf("-h", path)).group(1).strip()
    if MACHINES.get(machine) != platform.machine():
        return
    ran = subprocess.run([sys.executable, "-I", "-c", LOAD, str(path)], capture_output=True, text=True, timeout=60)
    if ran.returncode != 0 or ran.stderr:
        yield f"cannot be loaded: {ran.stderr.strip().splitlines()[-1] if ran.stderr else ran.returncode}"
    yield from (line for line in ran.stdout.splitlines() if line)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--glibc", help="the oldest C library to run on")
    parser.add_argument("--no-load", action="store_true", help="do not load the libraries (sanitizer builds)")
    options = parser.parse_args()
    build = options.build.resolve()
    glibc = tuple(map(int, options.glibc.split("."))) if options.glibc else None
    # A fake card stands in for a driver: tests load it, users' programs never do.
    libraries = sorted(path for path in (build / "lib").rglob("*.so*")
                       if path.is_file() and not path.is_symlink() and not path.name.startswith("libfake_"))
    if not libraries:
        sys.exit(f"{build}/lib: no library was built there; nothing was checked")
    maps, count = export_maps(build), 0
    for path in libraries:
        script = maps.get(str(path.relative_to(build)))
        found = list(check_library(path, script, glibc)) + ([] if options.no_load else list(check_loading(path)))
        for problem in found:
            print(f"{path.relative_to(build)}: {problem}")
        count += len(found)
        if not found:
            print(f"{path.relative_to(build)}: fine ({path.stat().st_size // 1024} KiB)")
    sys.exit(1 if count else 0)


if __name__ == "__main__":
    main()
