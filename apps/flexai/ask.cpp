#include "apps/flexai/ask.h"

#include <nlohmann/json.hpp>

#include "apps/flexai/exit_codes.h"
#include "flexai/operate/client.h"

namespace flexai::cli {

Result<nlohmann::json> Ask(const nlohmann::json& request) {
  Result<operate::Client> client = operate::Client::Connect(/*start_if_missing=*/false);
  if (!client.ok()) return client.status();
  return client->Call(request);
}

int ExitCode(const Status& status) {
  switch (status.code()) {
    case Code::kUnavailable:
    case Code::kPermissionDenied:
    case Code::kInvalidArgument:
    case Code::kUnimplemented:
      return kUsage;
    default:
      return kFailed;
  }
}

}  // namespace flexai::cli
