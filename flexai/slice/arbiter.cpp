#include "flexai/slice/arbiter.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace flexai::slice {
namespace {

// What a waiting tenant's limit may save up. Units: turns.
constexpr double kMostTurns = 8;

// What a tenant whose limit ran out gathers before it goes on, so that it runs and waits once in a
// period, whatever its limit: each start and stop costs a fraction of a millisecond.
double Gathered(model::Permille limit) {
  const double part = static_cast<double>(limit) / model::kWholeCard;
  return static_cast<double>(Arbiter::kPeriod) * part * (1 - part);
}

// A tenant that has waited for this part of a turn's worth of its share is overdue.
constexpr double kOverdueTurns = 1.25;

// By which part a turn may be longer or shorter, for what former turns were short of or took too
// much.
constexpr double kTurnVaries = 0.25;

// Whoever rests for less is still at its turn, and is given it back: the gap between two steps of a
// training, for instance.
constexpr Nanos kShortRest = 5 * kMillisecond;

// A short rest ends it where less than this is left of the turn, in hand-overs; and who has had
// its turn waits for the next one after such a rest, unless it is owed this part of one.
constexpr Nanos kWorthATurn = 4;
constexpr double kNearlyATurn = 0.9;

// The virtual time that passes in a round.
constexpr double kRound = static_cast<double>(Arbiter::kPeriod);

Nanos Turn(model::Permille part) {
  return std::max(Arbiter::kPeriod * part / model::kWholeCard, Arbiter::kShortestTurn);
}

}  // namespace

void Arbiter::Adopt(std::span<const ArbiterInput> inputs) {
  const std::vector<double> levels = LevelsOf([](const Tenant& t) { return t.in.busy; });
  std::vector<Tenant> next;
  next.reserve(inputs.size());
  for (const ArbiterInput& input : inputs) {
    const auto known = std::find_if(tenants_.begin(), tenants_.end(),
                                    [&](const Tenant& t) { return t.in.id == input.id; });
    next.push_back(known != tenants_.end() ? *known : Tenant{});
    Tenant& tenant = next.back();
    const double level = levels[input.card];
    const bool others_work = level < std::numeric_limits<double>::infinity();
    if (known == tenants_.end()) {
      tenant.bucket = Gathered(input.limit);
      if (others_work) tenant.virtual_time = level;
    } else if (input.share != tenant.in.share && others_work) {
      // What it had more or less than others, in time, goes over to its new share.
      tenant.virtual_time = level + (tenant.virtual_time - level) * std::max(tenant.in.share, 1) /
                                        std::max(input.share, 1);
      tenant.turn_end = tenant.virtual_time;
    }
    // What a higher limit saved up is not spent under a lower one.
    if (input.limit < tenant.in.limit) {
      tenant.bucket = std::min(tenant.bucket, Gathered(input.limit));
    }
    tenant.was_busy = tenant.in.busy;
    tenant.in = input;
    tenant.account.id = input.id;
  }
  tenants_ = std::move(next);
}

void Arbiter::Fill(Tenant& tenant, Nanos elapsed) {
  const double time = static_cast<double>(elapsed);
  const double limit_turn = static_cast<double>(Turn(tenant.in.limit));
  const double share_turn = static_cast<double>(Turn(tenant.in.share));
  // One that waits for the card keeps what it could not spend; one without work, or paused, keeps
  // one turn.
  const bool waits = tenant.in.busy && !tenant.in.paused;
  const double most = waits ? kMostTurns * limit_turn : limit_turn;
  tenant.bucket = std::min(tenant.bucket + time * tenant.in.limit / model::kWholeCard,
                           std::max(most, tenant.bucket));
  // A floor that nobody claims does not pile up: an idle tenant is owed at most one turn. One that
  // waits for its turn is owed most of one each time, and what it was short of besides.
  const double floor_most = (waits ? 2 : 1) * share_turn;
  tenant.floor = std::clamp(tenant.floor + time * tenant.in.share / model::kWholeCard, -share_turn,
                            floor_most);
  // Nor what people did not want it to have.
  if (tenant.in.paused) tenant.floor = std::min(tenant.floor, 0.0);
  if (tenant.refilling && tenant.bucket >= Gathered(tenant.in.limit)) tenant.refilling = false;
}

void Arbiter::Charge(Nanos elapsed) {
  // One whose work was noticed only now is charged from the last step on: a limit is never passed.
  const auto ran = [](const Tenant& t) { return t.account.run && t.in.busy; };
  std::vector<Nanos> runners(hand_over_.size(), 0), corrected(hand_over_.size(), 0);
  for (const Tenant& tenant : tenants_) {
    runners[tenant.in.card] += ran(tenant);
    corrected[tenant.in.card] += tenant.in.correction;
  }
  for (Tenant& tenant : tenants_) {
    Fill(tenant, elapsed);
    // What a card loses at its hand-overs all lose that share it: else all were owed more and more.
    if (tenant.in.busy) {
      tenant.floor +=
          static_cast<double>(corrected[tenant.in.card]) * tenant.in.share / model::kWholeCard;
    }
    Nanos used = tenant.in.correction;
    if (ran(tenant)) {
      used += elapsed / runners[tenant.in.card];
    } else if (tenant.in.busy) {
      tenant.account.throttled += elapsed;
    }
    if (used != 0) Spend(tenant, used);
  }
}

void Arbiter::Spend(Tenant& tenant, Nanos used) {
  const double cost = static_cast<double>(used);
  tenant.account.received += used;
  tenant.turn_used += used;
  tenant.virtual_time += cost * model::kWholeCard / std::max(tenant.in.share, 1);
  tenant.floor -= cost;
  tenant.bucket -= cost;
  if (tenant.in.limit < model::kWholeCard && tenant.bucket <= 0) tenant.refilling = true;
}

// By card: the least virtual time of those that count; infinity where there is none.
std::vector<double> Arbiter::LevelsOf(bool (*counts)(const Tenant&)) const {
  std::vector<double> levels(hand_over_.size(), std::numeric_limits<double>::infinity());
  for (const Tenant& t : tenants_) {
    double& level = levels[t.in.card];
    if (counts(t)) level = std::min(level, t.virtual_time);
  }
  return levels;
}

// One that comes back from idling or a pause starts level with those that worked: idle time earns
// no credit. A short rest costs none, either.
void Arbiter::WakeUp(Nanos elapsed) {
  const std::vector<double> levels =
      LevelsOf([](const Tenant& t) { return t.in.busy && t.was_busy && !t.in.paused; });
  for (Tenant& t : tenants_) {
    if (!t.was_busy) t.rested += elapsed;
    const bool wakes = t.in.busy && !t.was_busy;
    const bool was_short = t.rested < kShortRest;
    if (wakes) {
      t.is_back = !was_short || t.left_turn ||
                  t.floor >= kNearlyATurn * static_cast<double>(Turn(t.in.share));
    } else if (!t.in.busy) {
      t.is_back = false;
      if (t.was_busy) {
        t.rested = 0;
        t.left_turn = t.holds && LeftOfTurn(t) > kWorthATurn * hand_over_[t.in.card];
      }
    }
    const double level = levels[t.in.card];
    if (level == std::numeric_limits<double>::infinity()) continue;
    if (t.in.paused || (wakes && !was_short)) {
      t.virtual_time = std::max(t.virtual_time, level);
    } else if (t.in.busy && t.was_busy && t.refilling) {
      // Held by its own limit, it may fall behind by one round at most.
      t.virtual_time = std::max(t.virtual_time, level - kRound);
    }
  }
}

// Is back so soon that it goes on with the turn in which it began to rest.
bool Arbiter::Resumes(const Tenant& t) { return t.is_back && t.left_turn && t.rested < kShortRest; }

// By card: the most virtual time of those that contend; 0 where nobody does.
std::vector<double> Arbiter::MostOf() const {
  std::vector<double> most(hand_over_.size(), 0);
  for (const Tenant& t : tenants_) {
    if (t.in.busy && MayRun(t)) most[t.in.card] = std::max(most[t.in.card], t.virtual_time);
  }
  return most;
}

// Where some borrow and others may not, the others fall behind for ever; two rounds of it count.
void Arbiter::BoundLags(const std::vector<double>& most) {
  for (Tenant& t : tenants_) {
    if (!t.in.busy || !MayRun(t)) continue;
    t.virtual_time = std::max(t.virtual_time, most[t.in.card] - 2 * kRound);
  }
}

bool Arbiter::MayRun(const Tenant& t) {
  return !t.in.paused && (t.in.limit >= model::kWholeCard || !t.refilling);
}

Arbiter::Claim Arbiter::ClaimOf(const Tenant& t, double tolerated_turns) {
  const double turns = t.floor / static_cast<double>(Turn(t.in.share));
  if (turns >= kOverdueTurns) return Claim::kOverdue;
  return turns > -tolerated_turns ? Claim::kOwed : Claim::kBorrows;
}

struct Arbiter::Unit {
  std::vector<Tenant*> parts;
  Claim claim = Claim::kBorrows;    // of the part that has the strongest
  Claim in_turn = Claim::kBorrows;  // the same, where the next turn is given away
  bool presses = false;             // a part does
  bool is_back = false;             // a part is
  bool resumes = false;             // a part does
  bool holds = true;                // every part has its card
  bool turn_over = false;           // a part's
  double ahead = 0;  // virtual time above the card's least, of the part nearest to it

  // Ordered: who of those with the same claim and priority goes first. Counted in turns, so that
  // what one differs by does not change the order from round to round. Whoever has just had a turn
  // lets others go first; who comes back to its turn, or from idling with a claim, does not wait.
  double turns_had() const {
    if (resumes || (is_back && claim != Claim::kBorrows)) return -1;
    return std::floor(2 * ahead / kRound) + (holds && turn_over);
  }

  model::Priority priority() const { return parts[0]->in.priority; }
  bool IsGang() const { return parts.size() > 1; }
  bool FillsIn() const {
    return std::any_of(parts.begin(), parts.end(), [](const Tenant* t) { return t->fills_in; });
  }
};

// Those that are always busy wait for each other's turns, and do not hand the card to and fro. One
// that comes back from idling gets what it is owed at once.
bool Arbiter::Outranks(const Unit& a, const Unit& holder) {
  if (!a.presses) return false;
  if (a.resumes && a.priority() >= holder.priority()) return true;
  if (holder.claim == Claim::kBorrows && a.claim != Claim::kBorrows) return true;
  if (a.priority() <= holder.priority() || holder.claim == Claim::kOverdue) return false;
  return a.claim <= holder.claim;
}

bool Arbiter::Before(const Unit& a, const Unit& b) {
  if (a.in_turn != b.in_turn) return a.in_turn < b.in_turn;
  // What is overdue goes by weight alone: else the lowest priority would pay for all time lost.
  if (a.in_turn != Claim::kOverdue && a.priority() != b.priority()) {
    return a.priority() > b.priority();
  }
  if (a.turns_had() != b.turns_had()) return a.turns_had() < b.turns_had();
  return a.parts[0]->in.id < b.parts[0]->in.id;
}

// Whatever holds one part of a gang back holds them all.
std::vector<Arbiter::Unit> Arbiter::GatherUnits() {
  const std::vector<double> levels =
      LevelsOf([](const Tenant& t) { return t.in.busy && MayRun(t); });
  std::vector<Unit> units;
  for (Tenant& t : tenants_) {
    if (!t.in.busy) continue;
    auto same = std::find_if(units.begin(), units.end(), [&](const Unit& unit) {
      return t.in.gang != 0 && unit.parts[0]->in.gang == t.in.gang;
    });
    if (same == units.end()) same = units.emplace(same);
    Unit& unit = *same;
    const double ahead = t.virtual_time - levels[t.in.card];
    unit.ahead = unit.parts.empty() ? ahead : std::min(unit.ahead, ahead);
    unit.claim = std::min(unit.claim, ClaimOf(t, 0));
    unit.in_turn = std::min(unit.in_turn, ClaimOf(t, kTurnVaries));
    unit.presses = unit.presses || Presses(t);
    unit.is_back = unit.is_back || t.is_back;
    unit.resumes = unit.resumes || Resumes(t);
    unit.holds = unit.holds && t.holds;
    unit.turn_over = unit.turn_over || LeftOfTurn(t) <= 0;
    unit.parts.push_back(&t);
  }
  for (Unit& unit : units) {
    // It has had what it is nearly owed, or will have the rest next time.
    if (unit.holds && unit.turn_over && unit.in_turn == Claim::kOwed) {
      unit.in_turn = Claim::kBorrows;
    }
    if (unit.resumes) unit.in_turn = std::min(unit.in_turn, Claim::kOwed);
  }
  std::erase_if(units, [](const Unit& unit) {
    return !std::all_of(unit.parts.begin(), unit.parts.end(),
                        [](const Tenant* t) { return MayRun(*t); });
  });
  return units;
}

// In the order of their claims, each takes its cards unless one is taken, or held by somebody whose
// turn is not over and who may keep it. Who gets the card of a gang that has to wait for another
// has it until the gang can run: else two cards whose turns end at different times would never be
// free together.
void Arbiter::PickHolders(const std::vector<double>& most) {
  std::vector<Unit> units = GatherUnits();
  std::sort(units.begin(), units.end(), Before);
  std::vector<const Unit*> holder(hand_over_.size(), nullptr);
  for (const Unit& unit : units) {
    for (const Tenant* t : unit.parts) {
      if (unit.holds) holder[t->in.card] = &unit;
    }
  }
  for (Tenant& t : tenants_) t.holds = false;
  std::vector<bool> taken(hand_over_.size(), false), waited_for(hand_over_.size(), false);
  const auto fits = [&](const Unit& unit) {
    return std::none_of(unit.parts.begin(), unit.parts.end(),
                        [&](const Tenant* t) { return taken[t->in.card]; });
  };
  const auto take = [&](const Unit& unit) {
    const bool begins = unit.turn_over || !(unit.holds || unit.resumes);
    const bool fills_in = std::any_of(unit.parts.begin(), unit.parts.end(),
                                      [&](const Tenant* t) { return waited_for[t->in.card]; });
    for (Tenant* t : unit.parts) {
      taken[t->in.card] = t->holds = true;
      t->is_back = t->left_turn = false;
      if (!begins) continue;
      t->turn_used = 0;
      t->turn_end = TurnEnd(*t, most[t->in.card]);
      t->fills_in = fills_in;
    }
  };
  for (const Unit& unit : units) {
    for (const Tenant* t : unit.parts) {
      const Unit* other = holder[t->in.card];
      if (!other || other == &unit || other->turn_over || !fits(unit) || !fits(*other)) continue;
      if (unit.IsGang() && other->FillsIn()) continue;
      if (!Outranks(unit, *other)) take(*other);
    }
    if (fits(unit)) {
      take(unit);
    } else if (unit.IsGang()) {
      for (const Tenant* t : unit.parts) waited_for[t->in.card] = true;
    }
  }
}

// Whoever begins a round goes as far as a turn does; the others follow to where the first of them
// is, so that a round leaves nobody behind.
double Arbiter::TurnEnd(const Tenant& holder, double most) {
  const double round =
      static_cast<double>(Turn(holder.in.share)) * model::kWholeCard / std::max(holder.in.share, 1);
  return most - holder.virtual_time > kRound / 2 ? most : most + round;
}

Nanos Arbiter::LeftOfTurn(const Tenant& holder) {
  const double turn = static_cast<double>(Turn(holder.in.share));
  const double used = static_cast<double>(holder.turn_used);
  const double left = (holder.turn_end - holder.virtual_time) * holder.in.share / model::kWholeCard;
  return static_cast<Nanos>(
      std::clamp(left, (1 - kTurnVaries) * turn - used, (1 + kTurnVaries) * turn - used));
}

Nanos Arbiter::UntilTurnEnds(const Tenant& holder) {
  const Nanos turn = LeftOfTurn(holder);
  if (holder.in.limit >= model::kWholeCard) return turn;
  const double drain = 1.0 - static_cast<double>(holder.in.limit) / model::kWholeCard;
  return std::min(turn, static_cast<Nanos>(std::max(holder.bucket, 0.0) / drain));
}

void Arbiter::SetNextStep() {
  Nanos wait = kPeriod;
  for (const Tenant& t : tenants_) {
    if (t.holds) wait = std::min(wait, UntilTurnEnds(t));
    if (!t.in.busy || !t.refilling || t.in.limit <= 0) continue;
    const double missing = Gathered(t.in.limit) - t.bucket;
    wait = std::min(wait, static_cast<Nanos>(missing * model::kWholeCard / t.in.limit) + 1);
  }
  next_step_ = last_ + std::max<Nanos>(wait, 100 * kMicrosecond);
}

const std::vector<ArbiterAccount>& Arbiter::Step(Nanos now, std::span<const ArbiterInput> inputs) {
  const Nanos elapsed = last_ < 0 ? 0 : now - last_;
  last_ = now;
  Adopt(inputs);
  Charge(elapsed);
  WakeUp(elapsed);
  const std::vector<double> most = MostOf();
  BoundLags(most);
  PickHolders(most);
  result_.clear();
  for (Tenant& t : tenants_) {
    // The idle run too, unless they spent their limit or are paused.
    t.account.run = t.holds || (!t.in.busy && MayRun(t));
    result_.push_back(t.account);
  }
  SetNextStep();
  return result_;
}

}  // namespace flexai::slice
