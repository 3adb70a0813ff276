"""calls.h: one struct per function with VisitParams, and FnInfo of every function. Data only; logic is in templates."""
import expr
from check import CODES
from model import Direction, Role, Shape
from text import element_size, event_word, handle_word, head, namespace, pascal, signature


def _tag_name(param):
    return pascal(param.name) + "Tag"


def _answer_handle(table, function, param):
    """Body of AnswerHandle: which questions are answered with handles."""
    enum = function.param(param.query).type.base
    answers = table.queries.get(enum, {})
    if not answers:
        return None
    cases = "".join(f"        case {name}:\n          return static_cast<uint8_t>({handle_word(kind)});\n"
                    for name, kind in answers.items())
    return (f"    uint8_t AnswerHandle() const {{\n      switch (call.{param.query}) {{\n{cases}"
            f"        default:\n          return 0;\n      }}\n    }}\n")


def _key_handle(table, param):
    answers = table.queries.get(param.type.base, {})
    if not answers:
        return None
    cases = "".join(f"        case {name}:\n          return static_cast<uint8_t>({handle_word(kind)});\n"
                    for name, kind in answers.items())
    return (f"    static constexpr uint8_t KeyHandle(int64_t key) {{\n      switch (key) {{\n{cases}"
            f"        default:\n          return 0;\n      }}\n    }}\n")


def _tag(table, function, param):
    kind = f"static_cast<uint8_t>({handle_word(param.handle_kind)})" if param.handle_kind else "0"
    size = "1" if param.shape == Shape.BYTES else element_size(table, param.type)
    name = function.call
    out = [f"  struct {_tag_name(param)} : intercept::ParamTag<{name}> {{\n"
           f"    using intercept::ParamTag<{name}>::ParamTag;\n"
           f"    static constexpr intercept::ParamInfo kInfo = {{\n"
           f"        \"{param.name}\", \"{param.type.text()}\", {param.position},\n"
           f"        intercept::Direction::k{dict(IN='In', OUT='Out', INOUT='InOut')[param.direction.name]}, "
           f"intercept::Shape::k{param.shape.value}, intercept::Role::k{param.role.value},\n"
           f"        {kind}, {'true' if param.optional else 'false'}, {size}}};\n"]
    if param.count is not None:
        out.append(f"    uint64_t Count() const {{ return {expr.to_cpp(param.count)}; }}\n")
    if param.filled:
        out.append(f"    uint64_t Filled() const {{\n      return call.{param.filled} ? "
                   f"static_cast<uint64_t>(*call.{param.filled}) : ~uint64_t{{0}};\n    }}\n")
    if param.lengths:
        out.append(f"    const size_t* Lengths() const {{ return call.{param.lengths}; }}\n")
    if param.charge is not None:
        out.append(f"    uint64_t Charge() const {{ return {expr.to_cpp(param.charge)}; }}\n")
    if param.query:
        out.append(_answer_handle(table, function, param) or "")
    if param.shape == Shape.LIST0:
        out.append(_key_handle(table, param) or "")
    return "".join(out) + "  };\n"


def _result_tag(table, function):
    returns = function.returns
    kind = f"static_cast<uint8_t>({handle_word(returns.handle_kind)})" if returns.handle_kind else "0"
    name = function.call
    return (f"  struct ResultTag : intercept::ParamTag<{name}> {{\n"
            f"    using intercept::ParamTag<{name}>::ParamTag;\n"
            f"    static constexpr intercept::ParamInfo kInfo = {{\n"
            f"        \"result\", \"{returns.type.text()}\", {len(function.params)}, intercept::Direction::kOut,\n"
            f"        intercept::Shape::k{returns.shape.value}, intercept::Role::k{returns.role.value}, {kind}, false, "
            f"sizeof({returns.type.text()})}};\n  }};\n")


def _queue(function):
    """QueueOf and HandleOf: the queue that a call is about, and its first handle, from its arguments alone, so that who wants only these
    builds no struct."""
    queue = next((p.queue for p in function.params if p.queue is not None), None)
    if queue is None:
        return ""
    handle = next((f"intercept::ToWord({p.name})" for p in function.params
                   if p.role in (Role.HANDLE, Role.DROP) and p.shape in (Shape.VALUE, Shape.OPAQUE) and p.direction is Direction.IN), "0")
    params = ", ".join(f"[[maybe_unused]] {p.type.text()} {p.name}" for p in function.params)
    return (f"  static uint64_t QueueOf({params}) {{\n    return {expr.to_cpp(queue, prefix='')};\n  }}\n"
            f"  static uint64_t HandleOf({params}) {{\n    return {handle};\n  }}\n")


def _field(param):
    return f"  {param.type.text()} {param.name} = {{}};\n"


def _call(table, function):
    has_result = function.returns.kind != "void"
    args = ", ".join(p.name for p in function.params)
    visits = "".join(f"    v({_tag_name(p)}{{*this}}, {p.name});\n" for p in function.params)
    unused = "[[maybe_unused]] " if not function.params else ""
    out = [f"/// {function.source}\nstruct {function.call} {{\n",
           f"  static constexpr const char* kName = \"{function.name}\";\n",
           f"  static constexpr uint16_t kIndex = {function.index};\n",
           f"  static constexpr uint32_t kId = {function.id:#010x};\n",
           f"  static constexpr bool kCustom = {'true' if function.custom else 'false'};\n",
           f"  static constexpr intercept::Event kEvent = intercept::Event::{event_word(function.event)};\n",
           f"  static constexpr intercept::WireClass kWire = intercept::WireClass::k{function.wire.capitalize()};\n",
           f"  static constexpr intercept::Returns kReturns = intercept::Returns::k{function.returns.kind.capitalize()};\n",
           f"  using Signature = {signature(function)};\n\n"]
    out += [_field(p) for p in function.params]
    if has_result:
        out.append(f"  {function.returns.type.text()} result = {{}};\n")
    out.append("\n")
    out += [_tag(table, function, p) for p in function.params]
    if has_result:
        out.append(_result_tag(table, function))
    out.append(f"\n  template <class V>\n  void VisitParams({unused}V& v) {{\n{visits}  }}\n")
    body = "    v(ResultTag{*this}, result);\n" if has_result else ""
    out.append(f"  template <class V>\n  void VisitResult({'' if has_result else '[[maybe_unused]] '}V& v) {{\n{body}  }}\n")
    out.append(f"  template <class F>\n  auto Apply(F function) {{\n    return function({args});\n  }}\n")
    out.append(_queue(function) + "};\n")
    return "".join(out)


def _error_array(table, name, overrides):
    errors = {**table.library.errors, **overrides}
    values = ", ".join(errors.get(code, errors["internal"]) for code in CODES)
    return f"inline constexpr int64_t {name}[intercept::kCodes] = {{{values}}};\n"


def _info(function):
    errors = f"kErrorsOf{pascal(function.name)}" if function.errors else "kErrors"
    reason = function.reason.replace('"', '\\"')
    return (f"    {{\"{function.name}\", {function.id:#010x}, {function.index}, "
            f"intercept::Event::{event_word(function.event)}, intercept::WireClass::k{function.wire.capitalize()},\n"
            f"     {'true' if function.custom else 'false'}, {function.slot}, {errors}, \"{reason}\"}},\n")


def generate(table):
    lib = table.library.name
    out = [head(table), "#pragma once\n", '#include "flexai/intercept/call.h"',
           '#include "flexai/intercept/param.h"', f'#include "{lib}/types.h"\n', f"namespace {namespace(table)} {{\n",
           f"inline constexpr uint16_t kFunctionCount = {len(table.functions)};\n"]
    kinds = ", ".join(f'"{k}"' for k in ["none", *table.handle_kinds])
    out.append(f"inline constexpr const char* kHandleKinds[] = {{{kinds}}};\n")
    out.append("/// Vendor codes by flexai::Code; [0] is success.")
    out.append(_error_array(table, "kErrors", {}))
    out += [_error_array(table, f"kErrorsOf{pascal(f.name)}", f.errors) for f in table.functions if f.errors]
    out += [_call(table, f) for f in table.functions]
    out.append("inline constexpr intercept::FnInfo kFunctions[kFunctionCount] = {")
    out.append("".join(_info(f) for f in table.functions) + "};\n")
    out.append("/// The library as the chassis sees it; defined in the generated ops.cpp.")
    out.append("extern const intercept::LibraryInfo kLibrary;\n")
    out.append(f"}}  // namespace {namespace(table)}")
    return "\n".join(out) + "\n"


def _fields(function):
    """The table of a function's fields."""
    rows = [f"    intercept::FieldOf<{function.call}::{_tag_name(p)}, decltype({function.call}::{p.name})>(\n"
            f"        offsetof({function.call}, {p.name})),\n" for p in function.params]
    if function.returns.kind != "void":
        rows.append(f"    intercept::FieldOf<{function.call}::ResultTag, decltype({function.call}::result)>(\n"
                    f"        offsetof({function.call}, result)),\n")
    return f"constexpr intercept::FieldInfo kFieldsOf{function.call}[] = {{\n{''.join(rows)}}};\n"


def generate_ops(table):
    """ops.cpp: one FnOps per function, made by flexai/intercept/ops.h of the table of its fields."""
    fields = "".join(_fields(f) for f in table.functions)
    rows = "".join(f"    intercept::OpsOf<{f.call}>(kFieldsOf{f.call}),\n" for f in table.functions)
    kinds = len(table.handle_kinds) + 1
    return (f"{head(table)}\n#include \"flexai/intercept/ops.h\"\n#include \"{table.library.name}/calls.h\"\n\n"
            f"namespace {namespace(table)} {{\nnamespace {{\n\n{fields}\n"
            f"constexpr intercept::FnOps kOps[kFunctionCount] = {{\n{rows}}};\n\n}}  // namespace\n\n"
            f"constinit const intercept::LibraryInfo kLibrary = {{\"{table.library.name}\", kFunctionCount, kFunctions, kOps, "
            f"kHandleKinds, {kinds}}};\n\n}}  // namespace {namespace(table)}\n")
