//! Everything that can happen to a mesh with a real Consul, one after the other under a constant load, and not one error that a caller could see.
//!
//! `TORCHMESH_CHAOS_SECONDS=120 cargo test --release -p torchmesh-tests --test chaos -- --nocapture` takes longer and prints its figures.

use std::time::{Duration, Instant};

use torchmesh_tests::{
    MeshSandbox, Signal, bounded_by, client,
    consul::Agent,
    eventually,
    load::{Load, Plan},
    models::Model,
    raw::{self, Call},
};

/// Calls a second.
const RATE: f64 = 500.0;
const DEADLINE: Duration = Duration::from_secs(2);
/// Every worker gets its share of calls again within so long after the last of what happened to it.
const EVEN_WITHIN: Duration = Duration::from_secs(5);
/// What counts as its share: half of what it would get if all got the same.
const EVEN: f64 = 0.5;

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Event {
    KillWorker,
    StopWorker,
    FreezeWorker,
    KillRouter,
    StopRouter,
    FreezeRouter,
    KillConsul,
    FreezeConsul,
    ForgetfulConsul,
}

use Event::{ForgetfulConsul, FreezeConsul, FreezeRouter, FreezeWorker, KillConsul, KillRouter, KillWorker, StopRouter, StopWorker};

const EVENTS: [Event; 9] =
    [KillWorker, KillConsul, StopWorker, FreezeRouter, KillRouter, FreezeConsul, FreezeWorker, ForgetfulConsul, StopRouter];

struct Chaos {
    agent: Agent,
    mesh: MeshSandbox,
    load: Load,
    /// How long things stay broken.
    outage: Duration,
}

impl Chaos {
    async fn start(outage: Duration) -> Self {
        let agent = Agent::start().await;
        let mesh = MeshSandbox::builder().consul(&agent).gateways(2).routers(2).workers(4).model(Model::noop()).start().await;
        agent.until_well("torchmesh-worker", 4).await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
        let load = Load::start(Plan { addresses: mesh.doors(), call, rate: RATE, deadline: DEADLINE });
        let chaos = Self { agent, mesh, load, outage };
        chaos.even().await;
        chaos
    }

    /// Lets the load go on for a while.
    async fn go_on(&self, time: Duration) {
        self.load.answers((RATE * time.as_secs_f64() * 0.8) as u64).await;
    }

    async fn happen(&mut self, event: Event) {
        let at = match event {
            KillWorker | StopWorker | FreezeWorker => 1,
            _ => 0,
        };
        match event {
            KillWorker => self.end("worker", at, Signal::KILL).await,
            StopWorker => self.end("worker", at, Signal::TERM).await,
            KillRouter => self.end("router", at, Signal::KILL).await,
            StopRouter => self.end("router", at, Signal::TERM).await,
            FreezeWorker => self.freeze("worker", at).await,
            FreezeRouter => self.freeze("router", at).await,
            KillConsul | ForgetfulConsul => {
                self.agent.kill();
                self.go_on(self.outage).await;
                self.agent.start_again(matches!(event, KillConsul)).await;
            }
            FreezeConsul => {
                self.agent.signal(Signal::STOP);
                self.go_on(self.outage).await;
                self.agent.signal(Signal::CONT);
            }
        }
    }

    async fn end(&mut self, service: &str, at: usize, signal: Signal) {
        self.mesh.of(service)[at].end(signal).await;
        self.go_on(self.outage).await;
        self.mesh.start_again(service, at).await;
    }

    async fn freeze(&mut self, service: &str, at: usize) {
        self.mesh.of(service)[at].signal(Signal::STOP);
        self.go_on(self.outage).await;
        self.mesh.of(service)[at].signal(Signal::CONT);
    }

    /// Waits until every worker has taken its share of half a second's calls, and says how long that took.
    async fn even(&self) -> Duration {
        let began = Instant::now();
        loop {
            let before = self.taken().await;
            self.go_on(Duration::from_millis(500)).await;
            let after = self.taken().await;
            let taken: Vec<_> = after.iter().zip(&before).map(|(after, before)| after.saturating_sub(*before)).collect();
            let fair = taken.iter().sum::<u64>() as f64 / taken.len() as f64;
            if taken.iter().all(|taken| *taken as f64 >= EVEN * fair) {
                return began.elapsed();
            }
            assert!(began.elapsed() < EVEN_WITHIN * 3, "the load is not even: {taken:?} calls in half a second");
        }
    }

    async fn taken(&self) -> Vec<u64> {
        let mut taken = Vec::new();
        for worker in &self.mesh.workers {
            taken.push(worker.metrics().await.count("torchmesh_worker_requests_total", &[("code", "OK")]));
        }
        taken
    }
}

#[test]
fn nothing_that_happens_to_one_part_of_the_mesh_costs_a_caller_an_error() {
    let seconds: u64 = std::env::var("TORCHMESH_CHAOS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    bounded_by(Duration::from_secs(seconds * 3 + 60), async {
        let events = EVENTS.iter().cycle();
        let outage = Duration::from_millis(if seconds > 60 { 5000 } else { 1000 });
        let mut chaos = Chaos::start(outage).await;
        let (began, mut happened, mut slowest) = (Instant::now(), 0, Duration::ZERO);
        for event in events {
            if happened >= EVENTS.len() && began.elapsed() > Duration::from_secs(seconds) {
                break;
            }
            chaos.happen(*event).await;
            let even = chaos.even().await;
            println!("{event:?}: the load is even {:.1} s after its end", even.as_secs_f64());
            (happened, slowest) = (happened + 1, slowest.max(even));
        }
        let took = began.elapsed();
        let report = chaos.load.stop().await;
        println!(
            "{happened} events in {:.0} s: {} calls answered, {} failed, the longest took {:.0} ms; even again within {:.1} s",
            took.as_secs_f64(),
            report.ok,
            report.failed(),
            report.longest.as_secs_f64() * 1000.0,
            slowest.as_secs_f64()
        );
        assert_eq!(report.failed(), 0, "{report:?}");
        assert!(slowest <= EVEN_WITHIN, "it took {slowest:?} until the load was even again");
        eventually("every instance is well in Consul", EVEN_WITHIN * 4, async || {
            let well = [chaos.agent.well("torchmesh-worker").await.len(), chaos.agent.well("torchmesh-router").await.len()];
            (well == [4, 2]).then_some(())
        })
        .await;
    });
}
