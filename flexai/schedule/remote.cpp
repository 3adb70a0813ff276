#include "flexai/schedule/remote.h"

#include <algorithm>

#include "flexai/schedule/statement.h"

namespace flexai::schedule {

int64_t RemoteSlowdown(const RemoteUse& use, const RemoteLink& link) {
  const double waiting =
      static_cast<double>(use.waits_per_s) * static_cast<double>(link.round_trip_ns) * 1e-9;
  const double moving =
      static_cast<double>(use.bytes_per_s) / static_cast<double>(link.bytes_per_s);
  return static_cast<int64_t>(std::min(1e6 * (waiting + moving), 1e15));
}

Request HostHalf(const Request& request) {
  return {.cpu_milli = request.cpu_milli, .memory_mib = request.memory_mib};
}

Request CardHalf(const Request& request) {
  Request half = request;
  half.cpu_milli = kRemoteServerCpu;
  half.memory_mib = 0;
  return half;
}

std::optional<RemotePlan> PlanRemote(Placer* placer, const Request& request, const RemoteUse& use,
                                     const RemoteLink& link) {
  if (request.cards == 0 || RemoteSlowdown(use, link) > use.budget_ppm) return std::nullopt;
  if (use.budget_ppm == 0) return std::nullopt;
  const std::optional<Placement> cards = placer->Find(CardHalf(request));
  if (!cards) return std::nullopt;
  const std::optional<Placement> host = placer->Find(HostHalf(request));
  if (!host || host->node == cards->node) return std::nullopt;
  return RemotePlan{*host, *cards};
}

Status CarryOut(const RemotePlan& plan, const Request& request, Snapshot* snapshot) {
  Statement statement(snapshot);
  FLEXAI_RETURN_IF_ERROR(statement.Place(snapshot->AddJob(HostHalf(request)), plan.host));
  FLEXAI_RETURN_IF_ERROR(statement.Place(snapshot->AddJob(CardHalf(request)), plan.cards));
  statement.Commit();
  return Status();
}

}  // namespace flexai::schedule
