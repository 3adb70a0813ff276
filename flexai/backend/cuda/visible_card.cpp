#include "flexai/backend/cuda/visible_card.h"

#include <stdlib.h>

#include <algorithm>

#include "flexai/base/log.h"

namespace flexai::backend::cuda {
namespace {

bool Begins(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

}  // namespace

VisibleCard ChooseVisible(const char* chosen, const std::string& uuid) {
  VisibleCard card;
  // A card of another kind is none that this driver can show.
  if (!Begins(uuid, "GPU-")) return card;
  std::string first = chosen ? chosen : "0";
  first.resize(std::min(first.find(','), first.size()));
  const bool by_name = first.size() > 4 && Begins(uuid, first);
  if (first == "0" || by_name) {
    card.list = uuid;
    return card;
  }
  // Nothing, -1 and the like hide all cards on purpose.
  const bool by_index =
      !first.empty() && first.find_first_not_of("0123456789") == std::string::npos;
  if (!by_index && !Begins(first, "GPU-") && !Begins(first, "MIG-")) return card;
  card.sentence =
      "CUDA_VISIBLE_DEVICES=" + std::string(chosen) +
      " names no card of this slice, so the program sees none; the slice has one, number "
      "0: unset the variable, and choose the card with flexai run --card";
  return card;
}

void ShowCardOfSlice(const std::string& uuid) {
  const VisibleCard card = ChooseVisible(getenv("CUDA_VISIBLE_DEVICES"), uuid);
  if (!card.sentence.empty()) Notice("%s", card.sentence.c_str());
  setenv("CUDA_VISIBLE_DEVICES", card.list.c_str(), 1);
  // Work that a server of MPS does for us is not ours to stop. Where no daemon is found, the driver
  // goes on without.
  setenv("CUDA_MPS_PIPE_DIRECTORY", "/nonexistent/slices-share-without-mps", 1);
}

}  // namespace flexai::backend::cuda
