"""parity_test.cpp: our declarations against the vendor's own headers, row by row. Only this file includes them."""
from text import head, namespace


def _number(version):
    """12.4 as 12040: what FLEXAI_HEADER_VERSION is compared with."""
    major, _, minor = version.partition(".")
    return int(major) * 1000 + int(minor or 0) * 10


def _guarded(table, since, until, text):
    """`text`, seen only with headers from `since` on and before `until`, where the library has several headers."""
    tests = [f"FLEXAI_HEADER_VERSION >= {_number(since)}"] if since else []
    tests += [f"FLEXAI_HEADER_VERSION < {_number(until)}"] if until else []
    if not tests or not table.library.versioned_headers:
        return text
    return f"#if {' && '.join(tests)}\n{text}#endif\n"


def _type_guarded(table, name, text):
    return _guarded(table, table.types.since.get(name, ""), "", text)


def _values(table):
    rows = "".join(f"    {name},\n" for name in table.constants)
    return f"namespace ours {{\nconstexpr int64_t kValues[] = {{\n{rows}}};\n}}  // namespace ours\n"


def _pairs(table):
    """Handles and structs have other names on the two sides; say which belong together."""
    ns = namespace(table)
    out = [_type_guarded(table, h, f"template <>\nstruct SameClass<std::remove_pointer_t<{ns}::{h}>, "
                                   f"std::remove_pointer_t<::{h}>> : std::true_type {{}};\n")
           for h in table.types.handle]
    out += [_type_guarded(table, s.name, f"template <>\nstruct SameClass<{ns}::{s.name}, ::{s.name}> : std::true_type {{}};\n")
            for s in table.types.struct.values()]
    return "".join(out)


def _types(table):
    names = [*table.types.scalar, *table.types.enum, *table.types.handle]
    return "".join(_type_guarded(table, n, f"    {{\"type {n}\", SameType<ours::{n}, ::{n}>::value}},\n") for n in names)


def _structs(table):
    out = []
    for struct in table.types.struct.values():
        facts = []
        facts.append(f"    {{\"size of {struct.name}\", sizeof(ours::{struct.name}) == sizeof(::{struct.name})}},\n")
        if struct.align:
            facts.append(f"    {{\"alignment of {struct.name}\", alignof(ours::{struct.name}) == "
                         f"alignof(::{struct.name})}},\n")
        for _, field, _ in struct.fields:
            where = f"{struct.name}.{field}"
            facts.append(f"    {{\"offset of {where}\", offsetof(ours::{struct.name}, {field}) == "
                         f"offsetof(::{struct.name}, {field})}},\n"
                       f"    {{\"type of {where}\",\n     SameType<decltype(ours::{struct.name}::{field}), "
                       f"decltype(::{struct.name}::{field})>::value}},\n")
        out.append(_guarded(table, struct.since or table.types.since.get(struct.name, ""), "", "".join(facts)))
    return "".join(out)


def _functions(table):
    out, struct = [], table.library.slot_struct
    for f in table.functions:
        theirs = f"decltype(::{f.name})"
        if f.slot >= 0:
            theirs = f"std::remove_pointer_t<decltype(::{struct}::{f.name})>"
            out.append(f"    {{\"slot of {f.name}\", offsetof(::{struct}, {f.name}) == {f.slot} * sizeof(void*)}},\n")
        out.append(_guarded(table, f.since, f.until, f"    {{\"prototype of {f.name}\",\n"
                                                     f"     SameType<ours::{f.call}::Signature, {theirs}>::value}},\n"))
    if struct:
        out += [f"    {{\"reserved slot of {name}\", offsetof(::{struct}, {name}) == {slot} * sizeof(void*)}},\n"
                for slot, name in table.library.reserved.items()]
        out.append(f"    {{\"size of {struct}\", sizeof(::{struct}) == {table.library.slots} * sizeof(void*)}},\n")
    return "".join(out)


def _constants(table):
    return "".join(f"    {{\"value of {name}\", ours::kValues[{i}] == static_cast<int64_t>({name})}},\n"
                   for i, name in enumerate(table.constants))


def generate(table):
    lib, library = table.library.name, table.library
    defines = "".join(f"#define {d}\n" for d in library.header_defines)
    includes = "".join(f"#include <{h}>\n" for h in library.headers)
    return (f"{head(table)}#include <gtest/gtest.h>\n\n#include <cstddef>\n\n#include \"flexai/intercept/parity.h\"\n"
            f"#include \"{lib}/calls.h\"\n\n"
            f"// Our values are read before the vendor's macros take their names.\n"
            f"namespace {namespace(table)} {{\n{_values(table)}}}  // namespace {namespace(table)}\n\n"
            f"{defines}{includes}\n"
            f"namespace flexai::intercept::parity {{\n\n{_pairs(table)}\n"
            f"namespace {lib} {{\nnamespace ours {{\nusing namespace ::{namespace(table)};\n"
            f"using ::{namespace(table)}::ours::kValues;\n}}  // namespace ours\n\n"
            f"constexpr Fact kFacts[] = {{\n{_types(table)}{_structs(table)}{_functions(table)}{_constants(table)}}};\n\n"
            f"TEST(Parity, {lib.capitalize()}) {{\n"
            f"  for (const Fact& fact : kFacts) EXPECT_TRUE(fact.holds) << fact.what << \" differs from the vendor's\";\n"
            f"}}\n\n}}  // namespace {lib}\n}}  // namespace flexai::intercept::parity\n")
