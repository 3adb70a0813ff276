"""dispatch.cpp (function index -> server thunk) and fake_exports.cpp (the fake driver's functions)."""
from emit_exports import exported
from text import head, namespace


def generate(table):
    """One thunk per row; remote/wire/codec.h decodes parameters, calls the chassis and encodes what goes back."""
    lib = table.library.name
    rows = "".join(f"    remote::wire::ThunkOf<{f.call}>(),\n" for f in table.functions)
    return (f"{head(table)}\n#include \"flexai/remote/wire/codec.h\"\n#include \"{lib}/calls.h\"\n\n"
            f"namespace {namespace(table)} {{\n\n"
            f"/// By index; the server finds the index with FindById.\n"
            f"extern const remote::wire::Thunk kThunks[kFunctionCount];\n"
            f"const remote::wire::Thunk kThunks[kFunctionCount] = {{\n{rows}}};\n\n}}  // namespace {namespace(table)}\n")


def _body(function):
    return "k" + (function.fake or "none").capitalize()


def generate_fake(table):
    """The fake driver: each function runs the body that its row names, and is exported under the vendor's name."""
    lib = table.library.name
    rows = "".join(f"    reinterpret_cast<void*>(&fake::Entry<{f.call}, fake::Body::{_body(f)}>::Invoke),\n"
                   for f in table.functions)
    exports = "\n".join(
        f"FLEXAI_EXPORT {f.returns.type.text()} {f.name}({', '.join(f'{p.type.text()} {p.name}' for p in f.params)}) {{\n"
        f"  return fake::Entry<{f.call}, fake::Body::{_body(f)}>::Invoke({', '.join(p.name for p in f.params)});\n}}\n"
        for f in exported(table))
    return (f"{head(table)}// Needs from flexai/fake/entry.h: enum class Body, and Entry<Call, Body>::Invoke with the call's signature.\n"
            f"#include \"flexai/fake/entry.h\"\n#include \"{lib}/calls.h\"\n\n"
            f"#define FLEXAI_EXPORT extern \"C\" __attribute__((visibility(\"default\")))\n\n"
            f"namespace {namespace(table)} {{\n\n"
            f"/// The fake driver's functions by index, for drivers that are reached through a table.\n"
            f"extern void* const kFakeFunctions[kFunctionCount];\n"
            f"void* const kFakeFunctions[kFunctionCount] = {{\n{rows}}};\n\n{exports}\n}}  // namespace {namespace(table)}\n")
