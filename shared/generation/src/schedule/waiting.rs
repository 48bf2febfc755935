//! The sequences that wait for their place.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::sequence::Sequence;

/// A queue for each class. In one class, preempted sequences go first, by their arrival; then tenants take turns.
#[derive(Default)]
pub(crate) struct Waiting {
    classes: [Class; 3],
    /// Those that never had a place.
    fresh: usize,
}

#[derive(Default)]
struct Class {
    preempted: VecDeque<Sequence>,
    turns: VecDeque<Arc<str>>,
    /// By tenant; none is empty, and each has its turn.
    queues: HashMap<Arc<str>, VecDeque<Sequence>>,
}

/// Where a waiting sequence is, until one is added or taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    class: usize,
    /// None: with the preempted.
    turn: Option<usize>,
    place: usize,
}

/// What is made of a sequence that could be the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// It is the next.
    Take,
    /// Another may go before it.
    Skip,
    /// None is the next.
    Stop,
}

impl Waiting {
    /// Sequences that never had a place.
    pub(crate) fn fresh(&self) -> usize {
        self.fresh
    }

    pub(crate) fn len(&self) -> usize {
        self.fresh + self.classes.iter().map(|class| class.preempted.len()).sum::<usize>()
    }

    /// Adds one at the end of its tenant's queue.
    pub(crate) fn push(&mut self, sequence: Sequence) {
        let class = &mut self.classes[sequence.rank.priority as usize];
        let queue = class.queues.entry(sequence.tenant.clone()).or_insert_with_key(|tenant| {
            class.turns.push_back(tenant.clone());
            VecDeque::new()
        });
        queue.push_back(sequence);
        self.fresh += 1;
    }

    /// Puts back one that had its place.
    pub(crate) fn put_back(&mut self, sequence: Sequence) {
        let preempted = &mut self.classes[sequence.rank.priority as usize].preempted;
        let place = preempted.partition_point(|other| other.rank < sequence.rank);
        preempted.insert(place, sequence);
    }

    /// The next one, by what `look` says to each in order.
    pub(crate) fn find(&mut self, mut look: impl FnMut(&mut Sequence) -> Look) -> Option<Seat> {
        for (index, class) in self.classes.iter_mut().enumerate() {
            for (place, sequence) in class.preempted.iter_mut().enumerate() {
                match look(sequence) {
                    Look::Take => return Some(Seat { class: index, turn: None, place }),
                    Look::Skip => {}
                    Look::Stop => return None,
                }
            }
            for (turn, tenant) in class.turns.iter().enumerate() {
                for (place, sequence) in class.queues.get_mut(tenant).into_iter().flatten().enumerate() {
                    match look(sequence) {
                        Look::Take => return Some(Seat { class: index, turn: Some(turn), place }),
                        Look::Skip => {}
                        Look::Stop => return None,
                    }
                }
            }
        }
        None
    }

    /// Takes one out; its tenant's next turn comes after all others'.
    pub(crate) fn take(&mut self, seat: Seat) -> Option<Sequence> {
        let class = &mut self.classes[seat.class];
        let Some(turn) = seat.turn else { return class.preempted.remove(seat.place) };
        let tenant = class.turns.remove(turn)?;
        let queue = class.queues.get_mut(&tenant)?;
        let sequence = queue.remove(seat.place);
        if queue.is_empty() {
            class.queues.remove(&tenant);
        } else {
            class.turns.push_back(tenant);
        }
        self.fresh -= usize::from(sequence.is_some());
        sequence
    }

    /// Keeps those that `keep` says.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut Sequence) -> bool) {
        self.fresh = 0;
        for class in &mut self.classes {
            class.preempted.retain_mut(&mut keep);
            class.queues.retain(|_, queue| {
                queue.retain_mut(&mut keep);
                self.fresh += queue.len();
                !queue.is_empty()
            });
            if class.turns.len() > class.queues.len() {
                class.turns.retain(|tenant| class.queues.contains_key(tenant));
            }
        }
    }
}
