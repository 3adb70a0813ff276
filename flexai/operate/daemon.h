// The daemon of one host: it grants slices, shares cards out among them, and keeps their books. One
// thread and one loop; it never loads a driver and never waits for a peer.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "flexai/model/card.h"
#include "flexai/operate/card_meter.h"
#include "flexai/operate/connection.h"
#include "flexai/operate/context_store.h"
#include "flexai/operate/lever_probes.h"
#include "flexai/operate/slice_record.h"
#include "flexai/slice/arbiter.h"

namespace flexai::operate {

struct DaemonOptions {
  std::string address;           // where it listens, as told to clients
  int listen_fd = -1;            // a bound, listening socket; the daemon's from now on
  bool leave_when_idle = false;  // after a minute without slices
  std::string version;
  std::vector<model::Unshared> unshared;  // what this host has besides its cards, and why not
  std::string state_folder;  // where it keeps what the next daemon shall know; empty = nowhere
  // A helper that tells what drivers say of processes: where it is asked and answers; -1 = none.
  // The daemon's from now on.
  int meter_ask_fd = -1;
  int meter_answer_fd = -1;
  StartProbeFn start_probe;  // tries a card's levers; empty = nobody does
};

class Daemon {
 public:
  Daemon(DaemonOptions options, std::vector<model::Card> cards);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Serves until `Stop`, or until idle for long if the options say so.
  Status Run();
  /// Thread: any, also a signal handler.
  void Stop();

 private:
  struct Waiting {
    int connection;
    uint64_t order;
    nlohmann::json request;
    model::SliceSpec spec;  // what the request asks for
    std::string command;
    int report_fd;
    std::string reason;  // why it waits, as last found
  };
  // One who waits until books were compared with what the driver says.
  struct Comparing {
    int connection;
    pid_t pid;
    int part;    // about which of its slice's cards
    bool asked;  // the question that is out left after it came
  };

  // What there is of a slice: a record for each of its cards.
  using Parts = std::vector<SliceRecord*>;
  Parts PartsOf(const std::string& slice) const;

  // daemon.cpp: the loop
  void Accept();
  void Serve(int fd);
  void Drop(int fd);
  void OnPidfd(int fd);
  void Watch(int fd);
  void Tick(Nanos now);
  void Arbitrate(Nanos now);
  void HandOver(size_t card, const std::vector<SliceRecord*>& here, Nanos now);
  void Rest(size_t card, const std::vector<SliceRecord*>& here, Nanos now);
  void SecondTick(Nanos now);
  void RankSlices();
  std::vector<pid_t> LookForBypass(SliceRecord& slice) const;
  void FenceIn(SliceRecord& slice, std::vector<pid_t> unheld) const;
  Nanos NextTick(Nanos now) const;
  bool IdleForLong(Nanos now);

  // measure.cpp: what the driver says of processes
  void AskMeter();
  void OnMeter();
  nlohmann::json AskToCompare(const Connection& peer, const nlohmann::json& request);
  void TellCompared(bool compared);
  void OnCardUses(const std::vector<device::ProcessUse>& uses);
  bool RecordDropped(const std::string& uuid) const;
  void OnCardTimes(const std::vector<device::CardTime>& times);
  void Compare(SliceRecord& slice, pid_t pid, uint64_t bytes);
  static void Settle(SliceRecord& slice, pid_t pid);
  void Book(SliceRecord& slice, Process& first, uint64_t bytes, uint64_t granted);

  // attach.cpp: processes come and go
  void OnAttach(Connection& peer, const slice::Frame& frame);
  Result<SliceRecord*> FindForAttach(const Connection& peer, const slice::AttachRequest& request,
                                     int region_fd);
  Result<SliceRecord*> Adopt(const Connection& peer, const slice::AttachRequest& request,
                             int region_fd);
  bool Attached(int connection) const;
  Result<uint32_t> TakeSlot(SliceRecord& slice, pid_t pid, const slice::AttachRequest& request);
  void SweepSlots(SliceRecord& slice, Nanos now);
  void LeaderGone(SliceRecord& slice);
  void EndIfOver(const std::string& slice);
  void SetWindows();

  // requests.cpp: people's questions
  void OnRequest(Connection& peer, slice::Frame& frame);
  Result<nlohmann::json> Answer(Connection& peer, const nlohmann::json& request, int fd);
  Result<nlohmann::json> Create(Connection& peer, const nlohmann::json& request, int fd);
  Result<Parts> TryCreate(pid_t pid, uid_t uid, const nlohmann::json& request, int report_fd);
  Result<nlohmann::json> Set(const Connection& peer, const nlohmann::json& request);
  Result<nlohmann::json> Probe(const Connection& peer);
  Result<nlohmann::json> Pause(const Connection& peer, const nlohmann::json& request, bool pause);
  Result<Parts> FindOwned(const Connection& peer, const nlohmann::json& request);
  void ServeWaiting();
  void Reply(Connection& peer, const nlohmann::json& reply);

  void Publish(SliceRecord& slice) const;
  void PublishAll();

  // room.cpp: what fits where
  Status RoomOn(size_t card, const model::SliceSpec& spec, const SliceRecord* without) const;
  model::Bytes DefaultMemory(size_t card, model::Permille share) const;
  Result<std::vector<size_t>> NamedCards(const model::SliceSpec& spec) const;
  Result<std::vector<size_t>> PickCards(const model::SliceSpec& spec,
                                        const Parts& others = {}) const;
  Status WhyNot(const std::string& card) const;
  model::Permille GrantedShare(size_t card, const SliceRecord* without) const;
  model::Bytes GrantedMemory(size_t card, const SliceRecord* without) const;

  // report.cpp: what is told
  nlohmann::json Report() const;
  nlohmann::json DescribeCard(size_t card) const;
  bool TracedLately(const std::string& uuid) const;
  nlohmann::json DescribePart(const SliceRecord& slice) const;
  nlohmann::json DescribeSlice(const Parts& parts) const;
  void WriteReport(const Parts& parts) const;

  DaemonOptions options_;
  std::vector<model::Card> cards_;
  CardMeter meter_;
  LeverProbes levers_;
  std::map<std::string, Nanos> traced_at_;  // per card's uuid: when a trace last told times
  ContextStore contexts_;
  std::vector<uint64_t> context_bytes_;  // per card: the least that using it cost a process
  std::vector<Comparing> comparing_;
  slice::Arbiter arbiter_;
  std::vector<Nanos> looked_at_;  // per card: its last step
  std::map<std::string, std::unique_ptr<SliceRecord>> slices_;
  std::map<int, std::unique_ptr<Connection>> connections_;
  std::vector<Waiting> waiting_;
  uint64_t next_number_ = 1;
  int epoll_fd_ = -1;
  int timer_fd_ = -1;
  int stop_fd_ = -1;
  Nanos started_ = 0;
  Nanos next_second_ = 0;
  Nanos idle_since_ = 0;
};

}  // namespace flexai::operate
