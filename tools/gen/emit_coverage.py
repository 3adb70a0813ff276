"""coverage.md: what becomes of each function of the library."""
from collections import Counter

from text import head


def _how(function):
    if function.wire == "refuse":
        return f"refused: {function.reason}"
    return f"{function.wire}, by hand" if function.custom else function.wire


def generate(table):
    functions = table.functions
    count = Counter("refused" if f.wire == "refuse" else "by hand" if f.custom else f.wire for f in functions)
    totals = ", ".join(f"{n} {what}" for what, n in sorted(count.items()))
    rows = "".join(f"| `{f.name}` | {f.since or f.extension} | {f.until} | {f.event} | {_how(f)} | {f.fake or 'none'} | "
                   f"{f.source} |\n" for f in functions)
    return (f"<!-- {head(table, '').strip()} -->\n# {table.library.name}: {len(functions)} functions\n\n"
            f"Locally every function passes through; the column *remote* says how it travels ({totals}).\n\n"
            f"| function | since | until | event | remote | fake | source |\n|---|---|---|---|---|---|---|\n{rows}")
