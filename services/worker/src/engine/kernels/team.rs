//! Threads that share the work of one step: short pieces, hundreds of times a step, so that waking a thread for each would cost more than the work.
#![expect(unsafe_code, reason = "work is lent to the threads for as long as `run` lasts")]

use std::{
    hint,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

/// How long a thread looks for more work before it goes to sleep. Longer than between two pieces of one step, and no longer: what it looks with is a
/// processor that others may want.
const LOOKS: Duration = Duration::from_micros(60);

/// One thread and its companions, which help it. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Team {
    shared: Arc<Shared>,
    companions: Vec<JoinHandle<()>>,
}

/// A piece of work for each member, by its number.
type Work<'a> = dyn Fn(usize) + Sync + 'a;

#[derive(Debug)]
struct Shared {
    /// Odd or even, it changes with each piece of work.
    round: AtomicUsize,
    /// Companions that have not done their part of this round.
    busy: AtomicUsize,
    work: Mutex<Option<Lent>>,
    asleep: AtomicUsize,
    wake: Condvar,
    sleeping: Mutex<()>,
    broken: AtomicBool,
    over: AtomicBool,
}

/// Work that outlives the round it is lent for: see [`Team::run`].
#[derive(Clone, Copy)]
struct Lent(&'static Work<'static>);

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lent")
    }
}

impl Team {
    /// `members` threads, the caller's own among them; 0 is taken as 1.
    pub(crate) fn new(members: usize) -> Self {
        let shared = Arc::new(Shared {
            round: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            work: Mutex::new(None),
            asleep: AtomicUsize::new(0),
            wake: Condvar::new(),
            sleeping: Mutex::new(()),
            broken: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let companion = |member: usize| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("step-{member}")).spawn(move || shared.help(member)).ok()
        };
        // Fewer threads than wanted do the same work.
        let companions = (1..members).map_while(companion).collect();
        Self { shared, companions }
    }

    /// How many members it has.
    pub(crate) fn members(&self) -> usize {
        self.companions.len() + 1
    }

    /// Every member does `work` with its number, and all have done it when this returns. A panic of one is one here.
    pub(crate) fn run(&mut self, work: &Work<'_>) {
        if self.companions.is_empty() {
            return work(0);
        }
        let shared = &*self.shared;
        // SAFETY: the companions let go of it before they say that they are done, and this function does not return, not even by a panic, before all
        // have said so. `&mut self`: there is one piece of work at a time.
        let lent: &'static Work<'static> = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        *shared.work.lock() = Some(Lent(lent));
        shared.busy.store(self.companions.len(), Ordering::Relaxed);
        shared.round.fetch_add(1, Ordering::SeqCst);
        if shared.asleep.load(Ordering::SeqCst) > 0 {
            let _held = shared.sleeping.lock();
            shared.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| work(0)));
        let mut looks = 0_u32;
        while shared.busy.load(Ordering::Acquire) > 0 {
            looks += 1;
            // A companion that another process keeps from its processor is not waited for by keeping it from this one.
            if looks.is_multiple_of(4096) { thread::yield_now() } else { hint::spin_loop() }
        }
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        assert!(!shared.broken.swap(false, Ordering::AcqRel), "a thread of the step panicked");
    }
}

impl Shared {
    fn help(&self, member: usize) {
        let mut seen = 0;
        loop {
            seen = self.next_round(seen);
            if self.over.load(Ordering::Acquire) {
                return;
            }
            let lent = *self.work.lock();
            // It is lent until this member has said that it is done.
            if let Some(Lent(work)) = lent
                && catch_unwind(AssertUnwindSafe(|| work(member))).is_err()
            {
                self.broken.store(true, Ordering::Release);
            }
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }

    fn next_round(&self, seen: usize) -> usize {
        let began = Instant::now();
        let mut looks = 0_u32;
        loop {
            let round = self.round.load(Ordering::Acquire);
            if round != seen {
                return round;
            }
            looks += 1;
            hint::spin_loop();
            if looks.is_multiple_of(64) && began.elapsed() > LOOKS {
                return self.sleep(seen);
            }
        }
    }

    fn sleep(&self, seen: usize) -> usize {
        let mut held = self.sleeping.lock();
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let round = loop {
            let round = self.round.load(Ordering::SeqCst);
            if round != seen {
                break round;
            }
            self.wake.wait(&mut held);
        };
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        round
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        {
            let _held = self.shared.sleeping.lock();
            self.shared.round.fetch_add(1, Ordering::SeqCst);
            self.shared.wake.notify_all();
        }
        for companion in self.companions.drain(..) {
            // It has caught its panics.
            let _ = companion.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_does_its_part_of_every_round_once() {
        for members in [0, 1, 2, 5] {
            let mut team = Team::new(members);
            let count = team.members();
            assert_eq!(count, members.max(1));
            let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            for round in 1..=2000 {
                team.run(&|member| {
                    done[member].fetch_add(1, Ordering::Relaxed);
                });
                assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == round), "round {round}");
            }
        }
    }

    #[test]
    fn members_that_have_gone_to_sleep_come_back() {
        let mut team = Team::new(3);
        for _ in 0..3 {
            while team.shared.asleep.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            let sum = AtomicUsize::new(0);
            team.run(&|member| {
                sum.fetch_add(member, Ordering::Relaxed);
            });
            assert_eq!(sum.load(Ordering::Relaxed), 3);
        }
    }

    #[test]
    fn a_panic_is_passed_on_and_the_team_goes_on() {
        for culprit in [0, 1] {
            let mut team = Team::new(2);
            let panicked = catch_unwind(AssertUnwindSafe(|| team.run(&|member| assert!(member != culprit, "as told"))));
            assert!(panicked.is_err());
            let done = AtomicUsize::new(0);
            team.run(&|_| {
                done.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(done.load(Ordering::Relaxed), 2);
        }
    }
}
