// Who may compute on a host's cards, decided from values alone: samples and the time go in, a set
// of tenants that may run comes out. No clock, thread or file, so the same input gives the same
// decisions; the daemon runs it as often as it may matter, tests run it in virtual time.
//
// Each card goes round in turns: one tenant runs, the others that want to are held. A turn lasts
// share x kPeriod, a little more or less so that after each round all have had the same for their
// shares; those that are always busy go in the same order each time. Time is charged
// by residence: the wall time in which a tenant was let run and was busy, split evenly where
// several ran. So work that leaves short gaps makes the same progress per second of share as work
// that leaves none. A tenant of several cards is one input for each. Those of them that have work
// run together or not at all, because one that waits for another's card wastes its own; what each
// received is kept by card.
//   floors:  a tenant that has received less than its share goes before any that borrows;
//   limits:  a bucket that fills at the limit's rate; empty means held until a turn has gathered;
//   borrow:  what nobody is guaranteed goes by priority, then by weight;
//   idle:    a tenant without work is let run: its first kernel starts at once and is noticed
//   after. Who rests only briefly in its turn is given it back.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "flexai/base/clock.h"
#include "flexai/model/slice_spec.h"

namespace flexai::slice {

/// One tenant as the arbiter sees it at one moment.
struct ArbiterInput {
  uint64_t id = 0;
  model::Permille share = 0;
  model::Permille limit = 0;
  model::Priority priority = model::Priority::kNormal;
  bool paused = false;
  /// Had work on the card since the last step, or had when it was held.
  bool busy = false;
  /// Time by which the card really received more (or less) work from this tenant than the arbiter
  /// has charged: measured lateness of holds, for instance. Units: ns of the whole card.
  Nanos correction = 0;
  /// Counts from 0.
  uint32_t card = 0;
  /// What runs together has the same number, and a card each; 0 = runs by itself.
  uint64_t gang = 0;
};

/// What the arbiter keeps about a tenant; read by tables and billing.
struct ArbiterAccount {
  uint64_t id = 0;
  bool run = true;
  Nanos received = 0;   // card time
  Nanos throttled = 0;  // wall time held although it had work
};

class Arbiter {
 public:
  /// The time in which every busy tenant has its turn.
  static constexpr Nanos kPeriod = 100 * kMillisecond;
  /// No turn is shorter: handing the card over costs a fraction of a millisecond.
  static constexpr Nanos kShortestTurn = 2 * kMillisecond;

  /// `hand_over`: for each card, the time that is lost when it goes from one tenant to another.
  explicit Arbiter(std::vector<Nanos> hand_over = {0}) : hand_over_(std::move(hand_over)) {}

  /// Charges what ran since the last step and decides who runs from `now` on. Tenants that are not
  /// in `inputs` are forgotten. `now` must not go backwards.
  /// Shape: the result has one account per input, in the same order.
  const std::vector<ArbiterAccount>& Step(Nanos now, std::span<const ArbiterInput> inputs);

  /// When the next step is due if no tenant's `busy` changes before.
  Nanos next_step() const { return next_step_; }

 private:
  struct Tenant {
    ArbiterInput in;
    ArbiterAccount account;
    double virtual_time = 0;  // received / share
    double turn_end = 0;      // the virtual time at which its turn is over
    double bucket = 0;        // ns that the limit still allows
    double floor = 0;         // ns of guaranteed time not yet received
    Nanos turn_used = 0;
    bool was_busy = false;
    bool is_back = false;    // from idling, and has not had the card since
    Nanos rested = 0;        // since it last had work
    bool left_turn = false;  // began to rest in its turn, and has not had the card since
    bool refilling = false;  // the bucket ran out: held until it holds a turn again
    bool holds = false;      // has its card
    bool fills_in = false;   // until a gang that comes first has all its cards
  };
  /// What runs together, of those that have work and may: a tenant, or the parts of a gang.
  struct Unit;

  void Adopt(std::span<const ArbiterInput> inputs);
  void Charge(Nanos elapsed);
  static void Spend(Tenant& tenant, Nanos used);
  void Fill(Tenant& tenant, Nanos elapsed);
  void WakeUp(Nanos elapsed);
  static bool MayRun(const Tenant& tenant);
  /// Ordered: who goes first.
  enum class Claim : uint8_t { kOverdue, kOwed, kBorrows };
  static Claim ClaimOf(const Tenant& t, double tolerated_turns);
  /// Whether `t` is worth a hand-over before the holder's turn is over.
  bool Presses(const Tenant& t) const { return t.is_back || hand_over_[t.in.card] == 0; }
  /// Whether `a` takes its cards from a holder whose turn is not over.
  static bool Outranks(const Unit& a, const Unit& holder);
  static bool Before(const Unit& a, const Unit& b);
  std::vector<double> LevelsOf(bool (*counts)(const Tenant&)) const;
  std::vector<double> MostOf() const;
  void BoundLags(const std::vector<double>& most);
  static bool Resumes(const Tenant& t);
  std::vector<Unit> GatherUnits();
  void PickHolders(const std::vector<double>& most);
  static double TurnEnd(const Tenant& holder, double most);
  static Nanos LeftOfTurn(const Tenant& holder);
  static Nanos UntilTurnEnds(const Tenant& holder);
  void SetNextStep();

  std::vector<Nanos> hand_over_;
  std::vector<Tenant> tenants_;
  std::vector<ArbiterAccount> result_;
  Nanos last_ = -1;
  Nanos next_step_ = 0;
};

}  // namespace flexai::slice
