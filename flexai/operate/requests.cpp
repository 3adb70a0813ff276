// People's questions to the daemon, as JSON. docs/reference/json-fields.md lists the fields.
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "flexai/operate/daemon.h"
#include "flexai/operate/json_text.h"
#include "flexai/operate/pidfd.h"

namespace flexai::operate {
namespace {

using nlohmann::json;

json ErrorReply(const Status& status) {
  return {{"error",
           {{"code", CodeName(status.code())},
            {"message", status.message()},
            {"hint", status.hint()}}}};
}

std::string Text(const json& request, const char* name, const char* otherwise = "") {
  const auto found = request.find(name);
  return found != request.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

// A whole number in `request`, or `otherwise` where it is missing; the error names the field.
Result<uint64_t> Number(const json& request, const char* name, uint64_t otherwise) {
  const auto found = request.find(name);
  if (found == request.end() || found->is_null()) return otherwise;
  if (found->is_number_unsigned()) return found->get<uint64_t>();
  return Status(Code::kInvalidArgument,
                "field '" + std::string(name) + "' is " + found->dump() + ", not a whole number",
                "see docs/reference/json-fields.md");
}

bool Flag(const json& request, const char* name, bool otherwise) {
  const auto found = request.find(name);
  return found != request.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

// The fields of `request` over what `spec` has.
Status ReadSpec(const json& request, model::SliceSpec* spec) {
  const bool limit_follows = spec->limit == spec->share && !request.contains("limit_permille");
  const auto share = Number(request, "share_permille", static_cast<uint64_t>(spec->share));
  const auto limit = Number(request, "limit_permille", static_cast<uint64_t>(spec->limit));
  const auto memory = Number(request, "memory_limit_bytes", spec->memory);
  for (const auto* field : {&share, &limit, &memory}) FLEXAI_RETURN_IF_ERROR(field->status());
  if (*share > 1000 || *limit > 1000) {
    return Status(Code::kInvalidArgument, "a share or limit is more than a whole card",
                  "write at most 100%");
  }
  spec->share = static_cast<model::Permille>(*share);
  spec->limit = limit_follows ? spec->share : static_cast<model::Permille>(*limit);
  spec->memory = *memory;
  if (const std::string text = Text(request, "priority"); !text.empty()) {
    const auto priority = model::ParsePriority(text);
    if (!priority.ok()) return priority.status();
    spec->priority = *priority;
  }
  return model::CheckSpec(*spec);
}

// What a new slice shall be.
Result<model::SliceSpec> ReadAsked(const json& request) {
  model::SliceSpec spec;
  const auto cards = Number(request, "cards", 1);
  if (!cards.ok()) return cards.status();
  spec.cards = static_cast<int>(std::min<uint64_t>(*cards, model::kMostCards + 1));
  spec.card = Text(request, "card", "auto");
  FLEXAI_RETURN_IF_ERROR(ReadSpec(request, &spec));
  return spec;
}

}  // namespace

void Daemon::Reply(Connection& peer, const json& reply) {
  const std::string text = JsonText(reply);
  peer.Send(slice::FrameType::kReply, text.data(), text.size());
}

void Daemon::OnRequest(Connection& peer, slice::Frame& frame) {
  const json request = ParseJson(frame.data);
  if (!request.is_object()) {
    return Reply(peer, ErrorReply(Status(Code::kInvalidArgument, "the request is not JSON")));
  }
  const Result<json> answer = Answer(peer, request, std::exchange(frame.fd, -1));
  if (!answer.ok()) return Reply(peer, ErrorReply(answer.status()));
  if (!answer->is_null()) Reply(peer, *answer);
}

Result<json> Daemon::Answer(Connection& peer, const json& request, int fd) {
  const std::string op = Text(request, "op");
  if (op == "create") return Create(peer, request, fd);
  if (fd >= 0) close(fd);
  if (op == "status") return Report();
  if (op == "compare") return AskToCompare(peer, request);
  if (op == "set") return Set(peer, request);
  if (op == "pause") return Pause(peer, request, true);
  if (op == "resume") return Pause(peer, request, false);
  if (op == "probe") return Probe(peer);
  return Status(Code::kUnimplemented, "the daemon does not know the request '" + op + "'",
                "use flexai and flexaid of one release");
}

Result<json> Daemon::Create(Connection& peer, const json& request, int fd) {
  // Read before anything else: nobody shall wait for an error.
  const Result<model::SliceSpec> spec = ReadAsked(request);
  Status status = spec.status();
  struct stat report;
  if (status.ok() && fd >= 0 && (fstat(fd, &report) != 0 || !S_ISREG(report.st_mode))) {
    // A pipe that nobody reads would stop the loop.
    status = Status(Code::kInvalidArgument, "the report can be written to a regular file only",
                    "name a file: --report run.json");
  }
  if (status.ok() && !waiting_.empty()) {
    // Only what waits shall stand in front of others that wait.
    status = Status(Code::kResourceExhausted, "others wait already",
                    "wait, or see who holds the card: flexai status");
  } else if (status.ok()) {
    const auto made = TryCreate(peer.pid(), peer.uid(), request, fd);
    if (made.ok()) return json{{"slice", DescribeSlice(*made)}};
    status = made.status();
  }
  if (status.code() != Code::kResourceExhausted || !Flag(request, "wait", true)) {
    if (fd >= 0) close(fd);
    return status;
  }
  waiting_.push_back({peer.fd(), next_number_++, request, *spec, Text(request, "command"), fd,
                      std::string(status.message())});
  Reply(peer, {{"waiting", {{"position", waiting_.size()}, {"reason", status.message()}}}});
  return json();
}

Result<Daemon::Parts> Daemon::TryCreate(pid_t pid, uid_t uid, const json& request, int report_fd) {
  const Result<model::SliceSpec> asked = ReadAsked(request);
  if (!asked.ok()) return asked.status();
  const model::SliceSpec& spec = *asked;
  const Result<std::vector<size_t>> cards = PickCards(spec);
  if (!cards.ok()) return cards.status();
  static std::mt19937_64 random{std::random_device{}()};
  char id[16];
  do {
    snprintf(id, sizeof(id), "s-%04x", static_cast<unsigned>(random() & 0xffff));
  } while (!PartsOf(id).empty());
  std::vector<std::unique_ptr<SliceRecord>> made;
  const Nanos now = MonotonicNow();
  for (const size_t card : *cards) {
    const int part = static_cast<int>(made.size());
    auto slice = std::make_unique<SliceRecord>(id, part, spec.cards, next_number_++);
    if (part > 0) slice->gang = made.front()->gang;
    slice->spec = spec;
    slice->spec.card = cards_[card].id;
    if (spec.memory == 0) slice->spec.memory = DefaultMemory(card, spec.share);
    slice->card = card;
    slice->owner = uid;
    slice->leader = pid;
    slice->leader_pidfd = OpenPidfd(pid);
    slice->leader_alive = slice->leader_pidfd >= 0 || kill(pid, 0) == 0;
    if (!slice->leader_alive) {
      return Status(Code::kAborted, "the program that asked has ended");
    }
    slice->command = Text(request, "command");
    slice->created = now;
    auto region = slice::RegionMap::Create(slice->id);
    if (!region.ok()) return region.status();
    slice->region = std::move(region).value();
    slice->header().heartbeat = now;
    made.push_back(std::move(slice));
  }
  made.front()->report_fd = report_fd;
  for (auto& slice : made) {
    if (slice->leader_pidfd >= 0) Watch(slice->leader_pidfd);
    Publish(*slice);
    slices_[std::string(slice->id)] = std::move(slice);
  }
  SetWindows();
  return PartsOf(id);
}

void Daemon::Publish(SliceRecord& slice) const {
  slice.Publish(cards_[slice.card].uuid, context_bytes_[slice.card]);
  // The record is read here, and by nobody else.
  slice.header().dropped.store(levers_.dropped(slice.card) & ~device::kRecordLever,
                               std::memory_order_relaxed);
}

void Daemon::PublishAll() {
  for (auto& [id, slice] : slices_) Publish(*slice);
}

// A probe stops who is on the card for some milliseconds: not everybody may have that.
Result<json> Daemon::Probe(const Connection& peer) {
  if (peer.uid() != 0 && peer.uid() != geteuid()) {
    return Status(Code::kPermissionDenied,
                  "only root and the daemon's own user may try levers anew",
                  "sudo flexai doctor --probe");
  }
  return json{{"probing", levers_.Again(MonotonicNow())}};
}

// First come, first served: the one behind never overtakes.
void Daemon::ServeWaiting() {
  while (!waiting_.empty()) {
    Waiting& first = waiting_.front();
    Connection& peer = *connections_.at(first.connection);
    const auto made = TryCreate(peer.pid(), peer.uid(), first.request, first.report_fd);
    if (!made.ok() && made.status().code() == Code::kResourceExhausted) {
      first.reason = made.status().message();
      return;
    }
    if (made.ok()) {
      Reply(peer, {{"slice", DescribeSlice(*made)}});
    } else {
      if (first.report_fd >= 0) close(first.report_fd);
      Reply(peer, ErrorReply(made.status()));
    }
    waiting_.erase(waiting_.begin());
  }
}

Result<Daemon::Parts> Daemon::FindOwned(const Connection& peer, const json& request) {
  const std::string id = Text(request, "slice");
  const Parts parts = PartsOf(id);
  if (parts.empty()) {
    return Status(Code::kNotFound, "there is no slice '" + id + "'",
                  "flexai status lists the slices that run");
  }
  if (peer.uid() != 0 && peer.uid() != parts.front()->owner) {
    return Status(Code::kPermissionDenied,
                  "slice " + id + " belongs to user " + std::to_string(parts.front()->owner),
                  "ask its owner or root");
  }
  return parts;
}

// On each of its cards, or on none.
Result<json> Daemon::Set(const Connection& peer, const json& request) {
  const Result<Parts> found = FindOwned(peer, request);
  if (!found.ok()) return found.status();
  std::vector<model::SliceSpec> specs;
  for (const SliceRecord* slice : *found) {
    model::SliceSpec spec = slice->spec;
    FLEXAI_RETURN_IF_ERROR(ReadSpec(request, &spec));
    FLEXAI_RETURN_IF_ERROR(RoomOn(slice->card, spec, slice));
    const uint64_t used = slice->used_bytes();
    if (spec.memory < used && spec.memory != slice->spec.memory &&
        !Flag(request, "no_growth", false)) {
      return Status(Code::kFailedPrecondition,
                    "slice " + slice->slice + " uses " + model::FormatBytes(used) + " (" +
                        std::to_string(used) + " bytes), more than the new limit of " +
                        model::FormatBytes(spec.memory),
                    "free memory first, or add --no-growth: then it may only shrink");
    }
    specs.push_back(spec);
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    (*found)[i]->spec = specs[i];
    Publish(*(*found)[i]);
  }
  SetWindows();
  ServeWaiting();
  return json{{"slice", DescribeSlice(*found)}};
}

Result<json> Daemon::Pause(const Connection& peer, const json& request, bool pause) {
  const Result<Parts> found = FindOwned(peer, request);
  if (!found.ok()) return found.status();
  for (SliceRecord* slice : *found) {
    slice->paused = pause;
    Publish(*slice);
  }
  Tick(MonotonicNow());
  return json{{"slice", DescribeSlice(*found)}};
}

}  // namespace flexai::operate
