//! The waiting rows and the order in which they are served: by priority class, then fairly among tenants, then by deadline.
//!
//! A flow is what one tenant has waiting in one class. Each class, and each flow within its class, has a virtual clock that moves on by the
//! executor time that was given to it, divided by its weight; the slowest clock is served next (start-time fair queueing). Time is what the
//! measured forwards say that the rows cost, so a tenant of a thousand long texts and one of a single short text get the same share of the
//! executor, not the same number of requests. A flow that had nothing waiting begins at the clock of those that had: idling saves nothing up.
//! Within a flow, what is due first goes first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Instant,
};

use super::{Piece, Priority, Tenant, Ticket};

/// Whose flow it is.
pub(super) type FlowKey = (Priority, Tenant);

const CLASSES: usize = Priority::ALL.len();
/// The clock of a class of this weight moves as fast as time is given to it.
const FULL_WEIGHT: u64 = Priority::High.weight();
/// Idle flows that are kept when nothing waits, so that the usual few need no memory anew.
const KEPT: usize = 8;

/// All that waits. Costs are nanoseconds of an executor.
#[derive(Debug, Default)]
pub(super) struct Flows {
    by_key: BTreeMap<FlowKey, Flow>,
    classes: [Class; CLASSES],
    /// The clock of the slowest class when one was last served.
    floor: u64,
}

#[derive(Debug, Default)]
struct Flow {
    /// By when they are due, then by arrival. The pieces of a request are neighbours.
    pieces: VecDeque<Waiting>,
    clock: u64,
    cost: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Class {
    clock: u64,
    /// The clock of its slowest flow when one was last served.
    floor: u64,
    cost: u64,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) piece: Piece,
    /// What a row of it costs.
    row_cost: u64,
}

/// Where a waiting piece is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    key: FlowKey,
    at: usize,
}

/// When a request is served out of turn: one whose deadline is before `before` would miss it by waiting. The clocks of all others count as `credit`
/// more, so that its flow can be ahead of its share by that, and by no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Urgency {
    pub(super) before: Instant,
    pub(super) credit: u64,
}

impl Waiting {
    fn cost(&self, rows: usize) -> u64 {
        self.row_cost.saturating_mul(rows as u64)
    }

    fn whole(&self) -> u64 {
        self.cost(self.piece.content.rows)
    }
}

impl Flows {
    pub(super) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.by_key.values().flat_map(|flow| flow.pieces.iter().map(|waiting| &waiting.piece))
    }

    pub(super) fn piece(&self, place: Place) -> &Piece {
        &self.by_key[&place.key].pieces[place.at].piece
    }

    /// The executor time that all of it needs.
    pub(super) fn cost(&self) -> u64 {
        self.classes.iter().map(|class| class.cost).fold(0, u64::saturating_add)
    }

    /// The rows of a class.
    pub(super) fn rows(&self, class: Priority) -> usize {
        let of_class = self.by_key.range((class, Tenant::LEAST)..).take_while(|((other, _), _)| *other == class);
        of_class.flat_map(|(_, flow)| &flow.pieces).map(|waiting| waiting.piece.content.rows).sum()
    }

    /// Whether something of another class waits.
    pub(super) fn others_wait(&self, class: Priority) -> bool {
        Priority::ALL.into_iter().any(|other| other != class && self.classes[other as usize].cost > 0)
    }

    /// Adds a request's pieces, each with what a row of it costs.
    pub(super) fn push(&mut self, key: FlowKey, pieces: impl Iterator<Item = (Piece, u64)>) {
        let class = &mut self.classes[key.0 as usize];
        if class.cost == 0 {
            class.clock = class.clock.max(self.floor);
        }
        let flow = self.by_key.entry(key).or_default();
        if flow.pieces.is_empty() {
            flow.clock = flow.clock.max(class.floor);
        }
        let mut pieces = pieces.map(|(piece, row_cost)| Waiting { piece, row_cost: row_cost.max(1) }).peekable();
        let due = pieces.peek().map(|first| first.piece.ticket.due);
        let later = flow.pieces.back().is_some_and(|last| due.is_some_and(|due| last.piece.ticket.due > due));
        let at = if later { flow.pieces.partition_point(|other| Some(other.piece.ticket.due) <= due) } else { flow.pieces.len() };
        let behind = if later { flow.pieces.split_off(at) } else { VecDeque::new() };
        for waiting in pieces {
            let cost = waiting.whole();
            flow.cost = flow.cost.saturating_add(cost);
            class.cost = class.cost.saturating_add(cost);
            flow.pieces.push_back(waiting);
        }
        flow.pieces.extend(behind);
    }

    /// What will be served before a request of this flow that is due at `due` and costs `own`, if nothing else arrives.
    pub(super) fn ahead(&self, key: FlowKey, due: Instant, own: u64) -> u64 {
        let (class, tenant) = key;
        let before = self.by_key.get(&key).map_or(0, |flow| flow.before(due));
        let share = before.saturating_add(own);
        let others = self.by_key.range((class, Tenant::LEAST)..).take_while(|((other, _), _)| *other == class);
        let others = others.filter(|((_, other), _)| *other != tenant).map(|(_, flow)| flow.cost.min(share));
        let others = others.fold(0, u64::saturating_add);
        let of_class = share.saturating_add(others);
        let of_others = Priority::ALL.into_iter().filter(|other| *other != class).map(|other| {
            let meanwhile = of_class.saturating_mul(other.weight()) / class.weight();
            self.classes[other as usize].cost.min(meanwhile)
        });
        of_others.fold(before.saturating_add(others), u64::saturating_add)
    }

    /// The order of service. Goes through as much of it as is asked for.
    pub(super) fn order(&self, urgency: Option<Urgency>) -> Order<'_> {
        let mut heaps: [BinaryHeap<Reverse<Next<'_>>>; CLASSES] = Default::default();
        for (key, flow) in &self.by_key {
            heaps[key.0 as usize].extend(Next::of(*key, flow, flow.clock, 0, urgency).map(Reverse));
        }
        Order { clocks: self.classes.map(|class| class.clock), heaps, urgency }
    }

    /// Takes rows out, sorted by place, and moves the clocks on.
    pub(super) fn take(&mut self, picks: &[(Place, usize)]) -> Vec<Piece> {
        self.raise_floors();
        let mut taken = Vec::with_capacity(picks.len());
        for of_flow in picks.chunk_by(|one, other| one.0.key == other.0.key) {
            let key = of_flow[0].0.key;
            let Some(flow) = self.by_key.get_mut(&key) else { continue };
            let cost = flow.take(of_flow, &mut taken);
            let class = &mut self.classes[key.0 as usize];
            class.cost = class.cost.saturating_sub(cost);
            class.clock = class.clock.saturating_add(cost.saturating_mul(FULL_WEIGHT / key.0.weight()));
        }
        let floors = self.classes.map(|class| class.floor);
        // One that had more than its share lately is remembered until the others have caught up.
        self.by_key.retain(|key, flow| !flow.pieces.is_empty() || flow.clock > floors[key.0 as usize]);
        taken
    }

    /// Takes out every piece for which `gone` holds: of one flow, or of all.
    pub(super) fn remove(&mut self, of: Option<FlowKey>, gone: impl Fn(&Ticket) -> bool) -> Vec<Piece> {
        let mut removed = Vec::new();
        for (key, flow) in self.by_key.iter_mut().filter(|(key, _)| of.is_none_or(|of| of == **key)) {
            let mut kept = VecDeque::with_capacity(flow.pieces.len());
            for waiting in flow.pieces.drain(..) {
                if gone(&waiting.piece.ticket) {
                    let cost = waiting.whole();
                    flow.cost = flow.cost.saturating_sub(cost);
                    let class = &mut self.classes[key.0 as usize];
                    class.cost = class.cost.saturating_sub(cost);
                    removed.push(waiting.piece);
                } else {
                    kept.push_back(waiting);
                }
            }
            flow.pieces = kept;
        }
        removed
    }

    /// Nothing waits and an executor is idle: whoever had more than its share took it from nobody.
    pub(super) fn forgive(&mut self) {
        self.classes = Default::default();
        self.floor = 0;
        if self.by_key.len() > KEPT {
            self.by_key.clear();
        }
        self.by_key.values_mut().for_each(|flow| flow.clock = 0);
    }

    fn raise_floors(&mut self) {
        let mut slowest = [None::<u64>; CLASSES];
        for ((class, _), flow) in self.by_key.iter().filter(|(_, flow)| !flow.pieces.is_empty()) {
            let slowest = &mut slowest[*class as usize];
            *slowest = Some(slowest.map_or(flow.clock, |clock| clock.min(flow.clock)));
        }
        let waiting = self.classes.iter().zip(slowest).filter(|(_, slowest)| slowest.is_some());
        self.floor = waiting.map(|(class, _)| class.clock).min().unwrap_or(0).max(self.floor);
        for (class, slowest) in self.classes.iter_mut().zip(slowest) {
            class.floor = class.floor.max(slowest.unwrap_or(0));
        }
    }
}

impl Flow {
    /// The cost of what is served before something that is due at `due`.
    fn before(&self, due: Instant) -> u64 {
        let all = self.pieces.back().is_none_or(|last| last.piece.ticket.due <= due);
        if all {
            self.cost
        } else {
            self.pieces.iter().take_while(|other| other.piece.ticket.due <= due).map(Waiting::whole).fold(0, u64::saturating_add)
        }
    }

    /// Moves the picked rows to `taken`, and says what they cost.
    fn take(&mut self, picks: &[(Place, usize)], taken: &mut Vec<Piece>) -> u64 {
        let before = taken.len();
        let mut cost = 0;
        let whole = picks.iter().enumerate().all(|(at, (place, rows))| place.at == at && *rows == self.pieces[at].piece.content.rows);
        if whole {
            taken.extend(self.pieces.drain(..picks.len()).map(|waiting| {
                cost += waiting.whole();
                waiting.piece
            }));
        } else {
            cost = self.take_scattered(picks, taken);
        }
        debug_assert_eq!(taken.len() - before, picks.len());
        self.cost = self.cost.saturating_sub(cost);
        self.clock = self.clock.saturating_add(cost);
        cost
    }

    fn take_scattered(&mut self, picks: &[(Place, usize)], taken: &mut Vec<Piece>) -> u64 {
        let mut cost = 0;
        let last = picks.last().map_or(0, |(place, _)| place.at);
        let mut kept = VecDeque::with_capacity(self.pieces.len());
        let mut picks = picks.iter().peekable();
        for (index, mut waiting) in self.pieces.drain(..=last).enumerate() {
            let Some(&(_, rows)) = picks.next_if(|(place, _)| place.at == index) else {
                kept.push_back(waiting);
                continue;
            };
            cost += waiting.cost(rows);
            if rows == waiting.piece.content.rows {
                taken.push(waiting.piece);
            } else {
                taken.push(split(&mut waiting.piece, rows));
                kept.push_back(waiting);
            }
        }
        while let Some(waiting) = kept.pop_back() {
            self.pieces.push_front(waiting);
        }
        cost
    }
}

/// Cuts the first `rows` rows off a piece.
fn split(piece: &mut Piece, rows: usize) -> Piece {
    // Two pieces where there was one.
    piece.ticket.queued.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    piece.cut(rows)
}

/// See [`Flows::order`].
pub(super) struct Order<'a> {
    clocks: [u64; CLASSES],
    heaps: [BinaryHeap<Reverse<Next<'a>>>; CLASSES],
    urgency: Option<Urgency>,
}

/// The next piece of a flow, ordered by the flow's turn.
struct Next<'a> {
    turn: u64,
    key: FlowKey,
    clock: u64,
    at: usize,
    flow: &'a Flow,
    waiting: &'a Waiting,
}

impl<'a> Next<'a> {
    fn of(key: FlowKey, flow: &'a Flow, clock: u64, at: usize, urgency: Option<Urgency>) -> Option<Self> {
        let waiting = flow.pieces.get(at)?;
        let patient = urgency.filter(|urgency| waiting.piece.ticket.deadline.is_none_or(|deadline| deadline >= urgency.before));
        let turn = clock.saturating_add(patient.map_or(0, |urgency| urgency.credit));
        Some(Self { turn, key, clock, at, flow, waiting })
    }

    fn rank(&self) -> (u64, FlowKey) {
        (self.turn, self.key)
    }
}

impl PartialEq for Next<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Next<'_> {}

impl PartialOrd for Next<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Next<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl<'a> Iterator for Order<'a> {
    type Item = (Place, &'a Piece);

    fn next(&mut self) -> Option<Self::Item> {
        let class = (0..CLASSES).filter(|&class| !self.heaps[class].is_empty()).min_by_key(|&class| self.clocks[class])?;
        let Reverse(Next { key, clock, at, flow, waiting, .. }) = self.heaps[class].pop()?;
        let cost = waiting.whole();
        self.clocks[class] = self.clocks[class].saturating_add(cost.saturating_mul(FULL_WEIGHT / key.0.weight()));
        self.heaps[class].extend(Next::of(key, flow, clock.saturating_add(cost), at + 1, self.urgency).map(Reverse));
        Some((Place { key, at }, &waiting.piece))
    }
}

#[cfg(test)]
mod tests;
