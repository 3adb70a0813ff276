#include "flexai/schedule/sim/scenario.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "flexai/schedule/sim/block.h"

namespace flexai::schedule::sim {
namespace {

constexpr int64_t kMostAmount = int64_t{1} << 40;
constexpr int64_t kMostTime = int64_t{1} << 36;
constexpr int64_t kMostCount = 10'000;
constexpr size_t kMostThings = 100'000;  // nodes, jobs, tasks
const std::vector<std::string_view> kLevels = {"NODE", "RACK", "BLOCK", "ANYWHERE"};

class Reader {
 public:
  Result<Scenario> Read(std::string_view text) {
    TextError error;
    const std::vector<Field> fields = ParseText(text, &error);
    if (!error.reason.empty()) {
      return Status(Code::kInvalidArgument, std::to_string(error.line) + ": " + error.reason);
    }
    for (const Field& field : fields) {
      if (field.name == "title" && !field.block) {
        found_.title = field.value;
      } else if (field.block && field.name == "setting") {
        ReadSetting(field);
      } else if (field.block && field.name == "node") {
        ReadNode(field);
      } else if (field.block && field.name == "pair") {
        ReadPair(field);
      } else if (field.block && field.name == "link") {
        ReadLink(field);
      } else if (field.block && field.name == "queue") {
        ReadQueue(field);
      } else if (field.block && field.name == "job") {
        ReadJob(field);
      } else if (field.block && field.name == "event") {
        ReadEvent(field);
      } else if (field.block && field.name == "expect") {
        ReadExpectation(field);
      } else {
        found_.bad.push_back(
            {field.line, "there is no block '" + field.name +
                             "': title, setting, node, pair, link, queue, job, event, expect"});
      }
    }
    return std::move(found_);
  }

 private:
  using Index = std::map<std::string, uint32_t>;

  // The thing of this name, or what is wrong with it.
  static uint32_t Find(const Index& index, const std::string& name, const char* kind,
                       Block* block) {
    const auto found = index.find(name);
    if (found != index.end()) return found->second;
    block->Fail("there is no " + std::string(kind) + " '" + name + "' above");
    return 0;
  }

  // A name that stands for itself, as a number above 0; 0: none.
  static uint32_t ReadName(const char* field, Index* known, Block* block) {
    std::string name;
    block->Text(field, &name);
    if (name.empty()) return 0;
    return known->emplace(name, static_cast<uint32_t>(known->size() + 1)).first->second;
  }

  // "n0:0,2" as a node and its cards.
  Placement ReadPlace(const std::string& text, Block* block) {
    const size_t colon = text.find(':');
    Placement place{Find(nodes_, text.substr(0, colon), "node", block), 0};
    if (colon != std::string::npos) place.cards = ReadCards(text.substr(colon + 1), block);
    return place;
  }

  static CardSet ReadCards(std::string_view text, Block* block) {
    CardSet cards = 0;
    while (!text.empty()) {
      const std::string_view word = text.substr(0, text.find(','));
      uint32_t card = kMostCards;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), card);
      if (error != std::errc() || end != word.data() + word.size() || card >= kMostCards) {
        block->Fail("'" + std::string(word) + "' is no card");
        return 0;
      }
      cards |= CardSet{1} << card;
      text.remove_prefix(std::min(text.size(), word.size() + 1));
    }
    return cards;
  }

  uint32_t Model(const std::string& name, Block* block) {
    const auto known = std::find(found_.models.begin(), found_.models.end(), name);
    if (known != found_.models.end()) return static_cast<uint32_t>(known - found_.models.begin());
    if (found_.models.size() == kMostModels) {
      block->Fail("'" + name + "' is one card model too many: at most 64");
      return 0;
    }
    found_.models.push_back(name);
    return static_cast<uint32_t>(found_.models.size() - 1);
  }

  LoadId Load(const std::string& name, Block* block) {
    const auto known = std::find(found_.loads.begin(), found_.loads.end(), name);
    if (known != found_.loads.end()) return static_cast<LoadId>(known - found_.loads.begin());
    if (found_.loads.size() == kMostLoads) {
      block->Fail("'" + name + "' is one load too many: at most 63");
      return 0;
    }
    found_.loads.push_back(name);
    return static_cast<LoadId>(found_.loads.size() - 1);
  }

  // How much one load loses beside another, and the other beside it.
  void ReadPair(const Field& field) {
    Block block(field);
    std::string load, beside;
    int64_t loses = 0, costs = 0;
    block.Text("load", &load);
    block.Text("beside", &beside);
    block.Decimal("loses", 10, kWholeCard, &loses);
    costs = load == beside ? loses : 0;
    block.Decimal("costs", 10, kWholeCard, &costs);
    if (load.empty() || beside.empty()) block.Fail("a pair is of 'load' and 'beside'");
    if (load == beside && costs != loses) block.Fail("a load loses beside itself what it costs");
    const LoadId first = Load(load, &block), second = Load(beside, &block);
    if (!block.Finish(&found_.bad)) return;
    found_.interference.Declare(first, second, static_cast<Milli>(loses));
    found_.interference.Declare(second, first, static_cast<Milli>(costs));
  }

  void ReadLink(const Field& field) {
    Block block(field);
    size_t level = 0;
    RemoteLink link;
    block.Choice("level", {"RACK", "BLOCK", "ANYWHERE"}, &level);
    block.Decimal("round_trip_us", 1'000, kMostAmount, &link.round_trip_ns);
    block.Decimal("gbit_per_s", 125'000'000, kMostAmount, &link.bytes_per_s);
    if (link.bytes_per_s == 0) block.Fail("a link that carries nothing is no link");
    RemoteLinks& links = found_.options.links;
    if (!block.Finish(&found_.bad)) return;
    (level == 0 ? links.rack : level == 1 ? links.block : links.anywhere) = link;
  }

  void ReadSetting(const Field& field) {
    Block block(field);
    block.Text("policy", &found_.policy);
    if (const Status known = CheckPolicy(found_.policy); !known.ok()) {
      block.Fail(std::string(known.message()));
      found_.policy = "flexai";
    }
    int64_t most_moves = found_.options.most_moves;
    int64_t defragment_moves = found_.options.defragment_moves;
    block.Whole("unknown_run_s", 1, kMostTime, &found_.options.unknown_run_s);
    block.Whole("restart_s", 0, kMostTime, &found_.options.restart_s);
    block.Whole("most_moves", 0, 1000, &most_moves);
    block.Whole("defragment_every_s", 0, kMostTime, &found_.options.defragment_every_s);
    block.Whole("defragment_moves", 0, 1000, &defragment_moves);
    block.Flag("consolidate", &found_.options.consolidate);
    block.Flag("claim_waits", &found_.options.claim_waits);
    block.Whole("half_life_s", 0, kMostTime, &found_.half_life_s);
    block.Decimal("history", 1000, 1'000'000, &found_.k_permille);
    block.Whole("every_s", 0, kMostTime, &found_.every_s);
    block.Whole("until_s", 0, kMostTime, &found_.until_s);
    for (int64_t* every_s : {&found_.every_s, &found_.options.defragment_every_s}) {
      if (*every_s == 0 || found_.until_s / *every_s <= kMostCount) continue;
      block.Fail("more than 10000 rounds until until_s");
      *every_s = 0;
    }
    found_.options.most_moves = static_cast<uint32_t>(most_moves);
    found_.options.defragment_moves = static_cast<uint32_t>(defragment_moves);
    block.Finish(&found_.bad);
  }

  // "name", or name0, name1, ... where count is given. Nothing where a name is known already.
  static std::vector<std::string> Numbered(Block* block, const Index& known, size_t there) {
    std::string name;
    block->Text("name", &name);
    int64_t count = 0;
    block->Whole("count", 1, kMostCount, &count);
    std::vector<std::string> names = {name};
    if (count > 0) names.clear();
    for (int64_t i = 0; i < count; ++i) names.push_back(name + std::to_string(i));
    if (name.empty()) block->Fail("a name is missing");
    if (there + names.size() > kMostThings) block->Fail("more than 100000 are too many");
    for (const std::string& one : names) {
      if (known.contains(one)) block->Fail("'" + one + "' is there already");
    }
    return names;
  }

  BoardId ReadBoard(Block* block, uint32_t cards) {
    std::vector<CardSet> sets[2];
    for (const size_t which : {0, 1}) {
      std::vector<std::string> texts;
      block->Texts(which == 0 ? "numa" : "linked", &texts);
      for (const std::string& text : texts) sets[which].push_back(ReadCards(text, block));
    }
    const Result<Board> board = Board::Make(std::move(sets[0]), std::move(sets[1]));
    if (!board.ok()) {
      block->Fail(std::string(board.status().message()));
      return 0;
    }
    if (cards < kMostCards && board->all() >> cards != 0) block->Fail("it has not so many cards");
    const auto known = std::find(found_.boards.begin(), found_.boards.end(), *board);
    if (known != found_.boards.end()) return static_cast<BoardId>(known - found_.boards.begin());
    found_.boards.push_back(*board);
    return static_cast<BoardId>(found_.boards.size() - 1);
  }

  void ReadNode(const Field& field) {
    Block block(field);
    const std::vector<std::string> names = Numbered(&block, nodes_, found_.nodes.size());
    Node node;
    int64_t cards = 0, rack = 0, blocks = 0;
    std::string model = "card";
    block.Decimal("cpu", 1000, kMostAmount, &node.cpu_milli);
    block.Whole("memory_mib", 0, kMostAmount, &node.memory_mib);
    block.Whole("card_memory_mib", 0, kMostAmount, &node.card_memory_mib);
    block.Whole("cards", 0, kMostCards, &cards);
    block.Whole("rack", 0, 1'000'000, &rack);
    block.Whole("block", 0, 1'000'000, &blocks);
    block.Text("model", &model);
    node.cards = static_cast<uint32_t>(cards);
    node.rack = static_cast<uint32_t>(rack);
    node.block = static_cast<uint32_t>(blocks);
    node.model = Model(model, &block);
    node.board = ReadBoard(&block, node.cards);
    if (!block.Finish(&found_.bad)) return;
    for (const std::string& name : names) {
      nodes_.emplace(name, static_cast<uint32_t>(found_.nodes.size()));
      found_.nodes.push_back({name, node});
    }
  }

  void ReadLimits(Block* block, Queue* queue) {
    block->Decimal("quota", 1000, kMostAmount, &queue->quota[kCards]);
    block->Decimal("quota_cpu", 1000, kMostAmount, &queue->quota[kCpu]);
    block->Whole("quota_memory_mib", 0, kMostAmount, &queue->quota[kMemory]);
    block->Decimal("limit", 1000, kMostAmount, &queue->limit[kCards]);
    block->Decimal("limit_cpu", 1000, kMostAmount, &queue->limit[kCpu]);
    block->Whole("limit_memory_mib", 0, kMostAmount, &queue->limit[kMemory]);
    block->Whole("weight", 0, 1'000'000, &queue->weight);
    int64_t priority = queue->priority;
    block->Whole("priority", -1'000'000, 1'000'000, &priority);
    queue->priority = static_cast<int32_t>(priority);
  }

  void ReadQueue(const Field& field) {
    Block block(field);
    const std::vector<std::string> names = Numbered(&block, queues_, found_.queues.size());
    Queue queue;
    if (block.Has("parent")) {
      std::string parent;
      block.Text("parent", &parent);
      queue.parent = Find(queues_, parent, "queue", &block);
    }
    ReadLimits(&block, &queue);
    if (!block.Finish(&found_.bad)) return;
    for (const std::string& name : names) {
      found_.queues.push_back({name, queue});
      queues_.emplace(name, static_cast<uint32_t>(found_.queues.size()));
    }
  }

  Part ReadPart(Block* block) {
    Part part;
    Request& request = part.request;
    int64_t tasks = 1, minimum = 0, cards = 1, share = kWholeCard, least = 0;
    size_t required = static_cast<size_t>(Level::kAnywhere);
    block->Whole("tasks", 1, kMostCount, &tasks);
    minimum = tasks;
    block->Whole("minimum", 1, tasks, &minimum);
    block->Whole("cards", 0, kMostCards, &cards);
    block->Decimal("share", 10, kWholeCard, &share);
    block->Decimal("least_share", 10, share, &least);
    block->Whole("card_memory_mib", 0, kMostAmount, &request.card_memory_mib);
    block->Decimal("cpu", 1000, kMostAmount, &request.cpu_milli);
    block->Whole("memory_mib", 0, kMostAmount, &request.memory_mib);
    block->Choice("required", kLevels, &required);
    block->Decimal("remote_budget", 10'000, 1'000'000, &part.remote.budget_ppm);
    block->Whole("waits_per_s", 0, kMostAmount, &part.remote.waits_per_s);
    block->Decimal("mb_per_s", 1'000'000, kMostAmount, &part.remote.bytes_per_s);
    std::string load;
    block->Text("load", &load);
    request.load = Load(load, block);
    std::vector<std::string> models;
    block->Texts("model", &models);
    if (!models.empty()) request.models = 0;
    for (const std::string& model : models) request.models |= ModelSet{1} << Model(model, block);
    if (share == 0 && cards > 0) block->Fail("a share of 0 is no share");
    tasks_ += static_cast<size_t>(tasks);
    if (tasks_ > kMostThings) block->Fail("more than 100000 tasks are too many");
    part.tasks = static_cast<uint32_t>(tasks);
    part.minimum = static_cast<uint32_t>(minimum);
    request.cards = static_cast<uint32_t>(cards);
    request.share = cards > 0 ? static_cast<Milli>(share) : 0;
    if (cards == 0) request.card_memory_mib = 0;
    part.least_share = static_cast<Milli>(least);
    part.required = static_cast<Level>(required);
    return part;
  }

  void ReadJob(const Field& field) {
    Block block(field);
    const std::vector<std::string> names = Numbered(&block, jobs_, found_.jobs.size());
    ScenarioJob job;
    Gang& gang = job.gang;
    std::string queue;
    block.Text("queue", &queue);
    if (!queue.empty()) gang.queue = Find(queues_, queue, "queue", &block);
    int64_t priority = 0;
    block.Whole("priority", -1'000'000, 1'000'000, &priority);
    gang.priority = static_cast<int32_t>(priority);
    block.Flag("preemptible", &gang.preemptible);
    block.Flag("checkpointable", &gang.checkpointable);
    gang.user = ReadName("user", &users_, &block);
    gang.image = ReadName("image", &images_, &block);
    block.Whole("arrives_s", 0, kMostTime, &gang.arrived_s);
    block.Whole("estimate_s", 1, kMostTime, &gang.estimate_s);
    block.Whole("runs_s", 1, kMostTime, &job.runs_s);
    block.Whole("least_run_s", 0, kMostTime, &gang.least_run_s);
    block.Whole("started_s", -kMostTime, 0, &job.started_s);
    size_t preferred = static_cast<size_t>(Level::kAnywhere);
    block.Choice("preferred", kLevels, &preferred);
    gang.preferred = static_cast<Level>(preferred);
    const std::vector<const Field*> parts = block.Blocks("part");
    if (parts.empty()) {
      gang.parts.push_back(ReadPart(&block));
    } else {
      size_t required = static_cast<size_t>(Level::kAnywhere);
      block.Choice("required", kLevels, &required);
      gang.required = static_cast<Level>(required);
      bool usable = true;
      for (const Field* part : parts) {
        Block inner(*part);
        gang.parts.push_back(ReadPart(&inner));
        usable = inner.Finish(&found_.bad) && usable;
      }
      if (!usable) return;
    }
    std::vector<std::string> places;
    block.Texts("on", &places);
    for (const std::string& place : places) job.on.push_back(ReadPlace(place, &block));
    if (!places.empty() && names.size() > 1)
      block.Fail("'on' is for one job, not for a count of them");
    if (!block.Finish(&found_.bad)) return;
    for (const std::string& name : names) {
      jobs_.emplace(name, static_cast<uint32_t>(found_.jobs.size()));
      job.name = name;
      found_.jobs.push_back(job);
    }
  }

  void ReadEvent(const Field& field) {
    using What = ScenarioEvent::What;
    Block block(field);
    ScenarioEvent event;
    block.Whole("at_s", 0, kMostTime, &event.at_s);
    int named = 0;
    const auto about = [&](const char* name, const Index& index, const char* kind, What what) {
      if (!block.Has(name)) return;
      std::string text;
      block.Text(name, &text);
      event.what = what;
      ++named;
      if (what == What::kFailCard) {
        const Placement place = ReadPlace(text, &block);
        event.index = place.node;
        if (place.cards == 0) block.Fail("write the card as node:0");
        while (place.cards != 0 && (place.cards >> event.card & 1) == 0) ++event.card;
      } else {
        event.index = Find(index, text, kind, &block);
      }
    };
    about("fail_node", nodes_, "node", What::kFailNode);
    about("fail_card", nodes_, "node", What::kFailCard);
    about("heal", nodes_, "node", What::kHeal);
    about("drain", nodes_, "node", What::kDrain);
    about("leave", jobs_, "job", What::kLeave);
    about("idle", jobs_, "job", What::kIdle);
    about("busy", jobs_, "job", What::kBusy);
    about("queue", queues_, "queue", What::kQueue);
    if (named != 1) {
      block.Fail("an event is one of fail_node, fail_card, heal, drain, leave, idle, busy, queue");
    } else if (event.what == What::kQueue && event.index > 0) {
      event.queue = found_.queues[event.index - 1].queue;
      ReadLimits(&block, &event.queue);
    }
    if (block.Finish(&found_.bad)) found_.events.push_back(event);
  }

  static void Number(Block* block, const char* name, std::optional<int64_t>* value) {
    if (!block->Has(name)) return;
    int64_t number = 0;
    block->Whole(name, -kMostTime, kMostTime, &number);
    *value = number;
  }

  static void Part1000(Block* block, const char* name, int64_t scale,
                       std::optional<int64_t>* value) {
    if (!block->Has(name)) return;
    int64_t number = 0;
    block->Decimal(name, scale, kMostAmount, &number);
    *value = number;
  }

  void ReadExpectation(const Field& field) {
    Block block(field);
    Expectation expect;
    expect.line = field.line;
    block.Whole("at_s", 0, kMostTime, &expect.at_s);
    std::string name;
    if (block.Has("job")) {
      block.Text("job", &name);
      expect.job = Find(jobs_, name, "job", &block);
    }
    if (block.Has("queue")) {
      block.Text("queue", &name);
      expect.queue = Find(queues_, name, "queue", &block);
    }
    size_t state = 3;
    block.Choice("state", {"RUNNING", "WAITING", "DONE"}, &state);
    if (state < 3) expect.state = std::array{"RUNNING", "WAITING", "DONE"}[state];
    block.Texts("node", &expect.nodes);
    for (const std::string& node : expect.nodes) Find(nodes_, node, "node", &block);
    block.Text("host", &expect.host);
    if (!expect.host.empty()) Find(nodes_, expect.host, "node", &block);
    std::string cards;
    block.Text("cards", &cards);
    if (!cards.empty()) expect.cards = ReadCards(cards, &block);
    Number(&block, "tasks", &expect.tasks);
    Number(&block, "started_s", &expect.started_s);
    Number(&block, "ended_s", &expect.ended_s);
    Number(&block, "evictions", &expect.evictions);
    Number(&block, "moves", &expect.moves);
    Number(&block, "suspensions", &expect.suspensions);
    Part1000(&block, "share", 10, &expect.share);
    Part1000(&block, "used", 1000, &expect.used);
    Part1000(&block, "due", 1000, &expect.due);
    size_t together = 3;
    block.Choice("together", {"NODE", "RACK", "BLOCK"}, &together);
    if (together < 3) expect.together = kLevels[together];
    block.Text("code", &expect.code);
    block.Texts("says", &expect.says);
    if (expect.job.has_value() == expect.queue.has_value() &&
        (expect.job || (!expect.evictions && !expect.moves && !expect.suspensions))) {
      block.Fail("an expectation is about one job, one queue, or sums of the cluster");
    }
    if (block.Finish(&found_.bad)) found_.expectations.push_back(expect);
  }

  Scenario found_;
  Index nodes_, queues_, jobs_, users_, images_;
  size_t tasks_ = 0;
};

}  // namespace

Result<Scenario> ReadScenario(std::string_view text) { return Reader().Read(text); }

}  // namespace flexai::schedule::sim
