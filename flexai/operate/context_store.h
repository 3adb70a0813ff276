// What using a card costs a process at all, kept over daemons: the first program after a start is
// told as well that its slice is too small. A file that is damaged, or that others may write,
// counts as none.
#pragma once

#include <map>
#include <string>

#include "flexai/model/card.h"

namespace flexai::operate {

class ContextStore {
 public:
  /// Reads `folder`/contexts.json; an empty folder keeps nothing.
  explicit ContextStore(const std::string& folder);

  /// What was seen on such a card with its driver; 0 = nothing that can be believed.
  model::Bytes Find(const model::Card& card) const;
  /// Notes it and writes the file. That it cannot be written is told in the log, once.
  void Keep(const model::Card& card, model::Bytes bytes);

 private:
  void Read();
  Status Write() const;

  std::string folder_;
  std::map<std::string, model::Bytes> seen_;  // by the card's model and driver
  bool told_ = false;
};

}  // namespace flexai::operate
