// A physical accelerator as the daemon knows it.
#pragma once

#include <string>
#include <vector>

#include "flexai/model/units.h"

namespace flexai::model {

struct Card {
  std::string id;       // "0": what people type
  std::string backend;  // which folder of backend/ serves it
  std::string kind;     // "cpu", "gpu", "accelerator"
  std::string vendor;
  std::string model;
  std::string driver;
  std::string tried_driver;  // the version with which published figures were taken; empty = none
  std::string uuid;          // stable over restarts
  bool joins = false;        // may be one of several cards of a slice
  Bytes memory_bytes = 0;    // pinned when the daemon starts: drivers may change their answer
  int compute_units = 0;
  std::string driver_identity;  // what probed levers are remembered for; empty = there are none
  std::vector<std::string> libraries;  // file names of the driver: who maps one uses the card
};

/// Something of this host that cannot be shared out: a card, or all that one driver serves.
struct Unshared {
  std::string uuid;  // of the card; empty = no single one
  std::string why;   // a sentence that names it
  std::string cure;
};

}  // namespace flexai::model
