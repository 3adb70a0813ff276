"""types.h: our own declarations of the vendor's types and constants, so that nothing is built against a vendor's SDK."""
from text import head, namespace, pascal


def _structs(table):
    for struct in table.types.struct.values():
        if struct.align:
            yield (f"struct alignas({struct.align}) {struct.name} {{\n  unsigned char bytes[{struct.size}];\n}};\n"
                   f"static_assert(sizeof({struct.name}) == {struct.size});\n")
            continue
        lines = [f"struct {struct.name} {{"]
        for ctype, name, length in struct.fields:
            lines.append(f"  {ctype.text()} {name}{f'[{length}]' if length else ''};")
        lines += ["};", f"static_assert(sizeof({struct.name}) == {struct.size});", ""]
        yield "\n".join(lines)


def _callbacks(table):
    for callback in table.types.callback.values():
        params = ", ".join(f"{t.text()} {n}" for t, n in callback.params)
        yield f"using {callback.name} = {callback.returns.text()} (*)({params});"


def generate(table):
    types = table.types
    out = [head(table), "#pragma once\n", "#include <stddef.h>\n", "#include <cstdint>\n",
           f"namespace {namespace(table)} {{\n"]
    out += [f"using {name} = {under};" for name, under in types.scalar.items()]
    out += [f"using {name} = {under};" for name, under in types.enum.items()]
    out += [f"using {name} = struct {name}_object*;" for name in types.handle]
    out.append("")
    out += list(_structs(table))
    out += list(_callbacks(table))
    kinds = "".join(f"  k{pascal(kind)},\n" for kind in table.handle_kinds)
    out.append(f"\n/// Kinds of objects that handles name.\nenum class HandleKind : uint8_t {{\n  kNone,\n{kinds}}};\n")
    out += [f"inline constexpr int64_t {name} = {value};" for name, value in table.constants.items()]
    out.append(f"\n}}  // namespace {namespace(table)}")
    return "\n".join(out) + "\n"
