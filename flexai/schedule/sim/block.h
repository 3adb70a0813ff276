// The fields of one block of a text, each asked for by name and kind. Remembers the first thing
// that is wrong: a value of another kind, a field twice, a field that nobody asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flexai/schedule/sim/openb.h"
#include "flexai/schedule/sim/text.h"

namespace flexai::schedule::sim {

class Block {
 public:
  explicit Block(const Field& field) : field_(field), asked_(field.fields.size()) {}

  size_t line() const { return field_.line; }
  bool Has(std::string_view name) const;
  /// Each leaves `value` alone where the field is not there.
  void Text(std::string_view name, std::string* value);
  void Texts(std::string_view name, std::vector<std::string>* values);
  void Flag(std::string_view name, bool* value);
  void Whole(std::string_view name, int64_t least, int64_t most, int64_t* value);
  /// A number with at most three decimals, times `scale`. Units: thousandths at scale 1000.
  void Decimal(std::string_view name, int64_t scale, int64_t most, int64_t* value);
  /// One of `words`; sets its place in the list.
  void Choice(std::string_view name, const std::vector<std::string_view>& words, size_t* value);
  std::vector<const Field*> Blocks(std::string_view name);

  void Fail(const std::string& reason) { FailAt(field_.line, reason); }
  void FailAt(size_t line, const std::string& reason);
  /// Adds to `bad` what was wrong, if anything; true if nothing was.
  bool Finish(std::vector<BadRow>* bad);

 private:
  const Field* Only(std::string_view name);

  const Field& field_;
  std::vector<bool> asked_;
  BadRow wrong_;
};

}  // namespace flexai::schedule::sim
