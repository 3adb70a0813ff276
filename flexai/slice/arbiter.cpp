#include "flexai/slice/arbiter.h"

#include <algorithm>
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
constexpr double kOverdueTurns = 0.75;

// What a tenant must be owed before it cuts a turn short: a part of its own turn, and so many times
// what the hand-over costs at most.
constexpr double kPressTurns = 0.25;
constexpr double kPressHandOvers = 20;

Nanos Turn(model::Permille part) {
  return std::max(Arbiter::kPeriod * part / model::kWholeCard, Arbiter::kShortestTurn);
}

}  // namespace

void Arbiter::Adopt(std::span<const ArbiterInput> inputs) {
  std::vector<Tenant> next;
  next.reserve(inputs.size());
  for (const ArbiterInput& input : inputs) {
    const auto known = std::find_if(tenants_.begin(), tenants_.end(),
                                    [&](const Tenant& t) { return t.in.id == input.id; });
    next.push_back(known != tenants_.end() ? *known : Tenant{});
    Tenant& tenant = next.back();
    if (known == tenants_.end()) tenant.bucket = Gathered(input.limit);
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
  // A floor that nobody claims does not pile up: an idle tenant is owed at most one turn.
  tenant.floor = std::clamp(tenant.floor + time * tenant.in.share / model::kWholeCard, -share_turn,
                            share_turn);
  // Nor what people did not want it to have.
  if (tenant.in.paused) tenant.floor = std::min(tenant.floor, 0.0);
  if (tenant.refilling && tenant.bucket >= Gathered(tenant.in.limit)) tenant.refilling = false;
}

void Arbiter::Charge(Nanos elapsed) {
  // One whose work was noticed only now is charged from the last step on: a limit is never passed.
  const auto ran = [](const Tenant& t) { return t.account.run && t.in.busy; };
  const auto runners = std::count_if(tenants_.begin(), tenants_.end(), ran);
  for (Tenant& tenant : tenants_) {
    Fill(tenant, elapsed);
    Nanos used = tenant.in.correction;
    if (ran(tenant)) {
      used += elapsed / runners;
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

// One that comes back from idling or a pause starts level with those that worked: idle time earns
// no credit.
void Arbiter::WakeUp() {
  for (Tenant& t : tenants_) t.is_back = t.in.busy && (t.is_back || !t.was_busy);
  double level = std::numeric_limits<double>::infinity();
  for (const Tenant& t : tenants_) {
    if (t.in.busy && t.was_busy && !t.in.paused) level = std::min(level, t.virtual_time);
  }
  if (level == std::numeric_limits<double>::infinity()) return;
  for (Tenant& t : tenants_) {
    const double turn = static_cast<double>(kPeriod);
    // Held by its own limit, it may fall behind by one period at most.
    const double lag = t.was_busy && !t.in.paused ? level - turn : level;
    if (t.in.paused || (t.in.busy && (!t.was_busy || t.refilling)))
      t.virtual_time = std::max(t.virtual_time, lag);
  }
}

bool Arbiter::MayRun(const Tenant& t) {
  return !t.in.paused && (t.in.limit >= model::kWholeCard || !t.refilling);
}

Arbiter::Claim Arbiter::ClaimOf(const Tenant& t) {
  if (t.floor <= 0) return Claim::kBorrows;
  const double turn = static_cast<double>(Turn(t.in.share));
  return t.floor >= kOverdueTurns * turn ? Claim::kOverdue : Claim::kOwed;
}

// Two that are always busy are owed next to nothing in turns, and would hand the card to and fro.
// One that comes back from idling gets what it is owed at once.
bool Arbiter::Presses(const Tenant& t) const {
  const double turn = static_cast<double>(Turn(t.in.share));
  const double least =
      std::min(kPressTurns * turn, kPressHandOvers * static_cast<double>(hand_over_));
  return hand_over_ == 0 || t.is_back || t.floor >= least;
}

bool Arbiter::Outranks(const Tenant& a, const Tenant& holder) const {
  if (!Presses(a)) return false;
  const Claim claim = ClaimOf(a);
  const Claim held = ClaimOf(holder);
  if (held == Claim::kBorrows && claim != Claim::kBorrows) return true;
  if (a.in.priority <= holder.in.priority || held == Claim::kOverdue) return false;
  return claim <= held;
}

bool Arbiter::Before(const Tenant& a, const Tenant& b) {
  const Claim claim = ClaimOf(a);
  if (claim != ClaimOf(b)) return claim < ClaimOf(b);
  // What is overdue goes by weight alone: else the lowest priority would pay for all time lost.
  if (claim != Claim::kOverdue && a.in.priority != b.in.priority) {
    return a.in.priority > b.in.priority;
  }
  if (a.virtual_time != b.virtual_time) return a.virtual_time < b.virtual_time;
  return a.in.id < b.in.id;
}

Arbiter::Tenant* Arbiter::PickHolder() {
  Tenant* best = nullptr;
  Tenant* holder = nullptr;
  for (Tenant& t : tenants_) {
    if (!t.in.busy || !MayRun(t)) continue;
    if (t.in.id == holder_) holder = &t;
    if (!best || Before(t, *best)) best = &t;
  }
  if (holder && best != holder) {
    if (!Outranks(*best, *holder) && holder->turn_used < Turn(holder->in.share)) best = holder;
  }
  if (best && (best->in.id != holder_ || best->turn_used >= Turn(best->in.share))) {
    best->turn_used = 0;
  }
  if (best) best->is_back = false;
  holder_ = best ? best->in.id : 0;
  return best;
}

void Arbiter::SetNextStep(const Tenant* holder) {
  Nanos wait = kPeriod;
  if (holder) {
    wait = std::min(wait, Turn(holder->in.share) - holder->turn_used);
    if (holder->in.limit < model::kWholeCard) {
      const double drain = 1.0 - static_cast<double>(holder->in.limit) / model::kWholeCard;
      wait = std::min(wait, static_cast<Nanos>(std::max(holder->bucket, 0.0) / drain));
    }
  }
  for (const Tenant& t : tenants_) {
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
  WakeUp();
  Tenant* holder = PickHolder();
  result_.clear();
  for (Tenant& t : tenants_) {
    // The idle run too, unless they spent their limit or are paused.
    t.account.run = &t == holder || (!t.in.busy && MayRun(t));
    result_.push_back(t.account);
  }
  SetNextStep(holder);
  return result_;
}

}  // namespace flexai::slice
