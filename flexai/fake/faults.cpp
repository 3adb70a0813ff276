#include "flexai/fake/faults.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "flexai/base/log.h"

namespace flexai::fake {
namespace {

bool ToNumber(const std::string& text, int64_t* number) {
  char* end = nullptr;
  *number = strtoll(text.c_str(), &end, 0);
  return !text.empty() && *end == 0;
}

}  // namespace

Faults& Faults::Instance() {
  static Faults* const faults = [] {
    auto* made = new Faults;
    const char* text = getenv("FLEXAI_FAKE_FAULTS");
    const Status status = made->Set(text ? text : "");
    if (!status.ok()) Notice("FLEXAI_FAKE_FAULTS: %s", status.ToString().c_str());
    return made;
  }();
  return *faults;
}

Status Faults::Parse(const std::string& piece, Fault* fault) {
  const Status bad(Code::kInvalidArgument, "cannot read the fault '" + piece + "'",
                   "write function@number=code, function=kill or function=hang");
  const size_t equals = piece.find('=');
  if (equals == std::string::npos || equals == 0) return bad;
  std::string name = piece.substr(0, equals);
  const std::string what = piece.substr(equals + 1);
  int64_t at = 0;
  if (const size_t sign = name.find('@'); sign != std::string::npos) {
    if (!ToNumber(name.substr(sign + 1), &at) || at < 1) return bad;
    name.resize(sign);
  }
  int64_t code = 0;
  Kind kind = Kind::kCode;
  if (what == "kill") {
    kind = Kind::kKill;
  } else if (what == "hang") {
    kind = Kind::kHang;
  } else if (!ToNumber(what, &code)) {
    return bad;
  }
  *fault = Fault{name, static_cast<uint64_t>(at), kind, code, 0};
  return Status();
}

Status Faults::Set(const std::string& text) {
  std::vector<Fault> faults;
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = text.find(',', begin);
    if (end == std::string::npos) end = text.size();
    Fault fault;
    FLEXAI_RETURN_IF_ERROR(Parse(text.substr(begin, end - begin), &fault));
    faults.push_back(fault);
    begin = end + 1;
  }
  std::lock_guard<std::mutex> lock(mu_);
  faults_ = faults;
  armed_.store(!faults_.empty(), std::memory_order_relaxed);
  return Status();
}

bool Faults::TakeArmed(const char* function, int64_t* code) {
  Kind kind = Kind::kCode;
  {
    std::lock_guard<std::mutex> lock(mu_);
    Fault* hit = nullptr;
    for (Fault& fault : faults_) {
      if (fault.function != function) continue;
      ++fault.seen;
      if (!hit && (fault.at == 0 || fault.at == fault.seen)) hit = &fault;
    }
    if (!hit) return false;
    kind = hit->kind;
    *code = hit->code;
  }
  if (kind == Kind::kKill) kill(getpid(), SIGKILL);
  while (kind == Kind::kHang) pause();
  return true;
}

}  // namespace flexai::fake
