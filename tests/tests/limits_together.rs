//! Counts that several gateways keep together in a real Redis: as the library sees them, without the gateways around it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use torchmesh_limits::{
    Costs, Limiter, Permit, Refusal, Rules,
    fleet::{Fleet, FleetSettings, Lane},
    rule::Subject,
};
use torchmesh_tests::{Signal, bounded, eventually, redis::Redis};

const PATIENCE: Duration = Duration::from_secs(10);

/// One gateway's part.
#[derive(Clone)]
struct Member {
    limiter: Arc<Limiter>,
    lane: Lane,
}

impl Member {
    /// Joins, and waits until it has a link.
    async fn join(redis: &Redis, rules: &str) -> Self {
        // Longer than in production: on a busy machine the tests are to be about counts, not about time.
        let timeout = Duration::from_millis(500);
        let client = torchmesh_redis::client(&redis.url(), None).unwrap();
        let settings = FleetSettings { client, timeout, prefix: "test".to_owned(), gateways: 1 };
        let lane = Lane::start(Arc::new(Fleet::new(settings)));
        let member = Self { limiter: Arc::new(Limiter::new(Rules::parse(rules).unwrap(), 10_000, "test")), lane };
        member.linked().await;
        member
    }

    async fn linked(&self) {
        eventually("the lane has a link", PATIENCE, async || self.lane.link().map(|_| ())).await;
    }

    async fn unlinked(&self) {
        eventually("the lane has lost its link", PATIENCE, async || self.lane.link().is_none().then_some(())).await;
    }

    /// Until every member knows of so many.
    async fn knows_of(&self, gateways: u32) {
        eventually("the gateways know of each other", PATIENCE, async || (self.lane.fleet().gateways() == gateways).then_some(())).await;
    }

    async fn ask(&self, costs: &Costs) -> Result<Permit, Refusal> {
        let now = self.limiter.now();
        let subject = Subject { tenant: Some("acme"), key: Some("k"), model: Some("m"), address: Some("1.2.3.4") };
        let charges = self.limiter.charges(&subject, costs, &now, |_| true);
        self.limiter.admit(Some(&self.lane), charges, &now).await
    }
}

async fn members(redis: &Redis, count: usize, rules: &str) -> Vec<Member> {
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(Member::join(redis, rules).await);
    }
    for member in &members {
        member.knows_of(u32::try_from(count).unwrap()).await;
    }
    members
}

/// Asks `count` times at once, of one member after the other; gives how many were let in, each of which used `used`.
async fn race(members: &[Member], count: usize, costs: Costs, used: Option<Costs>) -> u64 {
    let let_in = Arc::new(AtomicU64::new(0));
    let calls: Vec<_> = (0..count)
        .map(|at| {
            let (member, let_in) = (members[at % members.len()].clone(), Arc::clone(&let_in));
            tokio::spawn(async move {
                if let Ok(permit) = member.ask(&costs).await {
                    let_in.fetch_add(1, Relaxed);
                    match used {
                        Some(used) => permit.settle(&used),
                        None => drop(permit),
                    }
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let_in.load(Relaxed)
}

#[test]
fn a_rate_is_kept_by_all_gateways_together() {
    bounded(async {
        let redis = Redis::start().await;
        let members = members(&redis, 3, "[[limit]]\nper = 'tenant'\nrequests = '500/24h'").await;
        assert_eq!(race(&members, 900, Costs::default(), None).await, 500);
        let refused = members[0].ask(&Costs::default()).await.unwrap_err();
        let wait = refused.standing.retry_after.unwrap();
        assert!(wait <= Duration::from_secs(173) && wait > Duration::from_secs(100), "{wait:?}");
    });
}

#[test]
fn two_hundred_racing_calls_spend_a_budget_exactly_and_nothing_that_fits_is_refused() {
    bounded(async {
        let redis = Redis::start().await;
        let members = members(&redis, 3, "[[limit]]\nper = 'tenant'\nbudget = '1.00/month'").await;
        let costs = Costs { money: 10_000, ..Costs::default() };
        assert_eq!(race(&members, 200, costs, Some(costs)).await, 100);
        let refused = members[1].ask(&Costs { money: 1, ..Costs::default() }).await.unwrap_err();
        assert_eq!(refused.standing.remaining, 0);
    });
}

#[test]
fn what_was_reserved_and_not_used_is_there_for_the_others() {
    bounded(async {
        let redis = Redis::start().await;
        let members =
            members(&redis, 2, "[[limit]]\nper = 'tenant'\ntokens = '1000/24h'\n[[limit]]\nper = 'key'\ntokens = '5000/month'").await;
        let large = Costs { tokens: 900, ..Costs::default() };
        let permit = members[0].ask(&large).await.unwrap();
        assert!(members[1].ask(&large).await.is_err());
        permit.settle(&Costs { tokens: 50, ..Costs::default() });
        eventually("what was not used is free again", PATIENCE, async || members[1].ask(&large).await.ok()).await;
    });
}

#[test]
fn calls_at_once_are_counted_together_and_those_of_a_gateway_that_died_are_forgotten() {
    bounded(async {
        let redis = Redis::start().await;
        let rules = "[[limit]]\nper = 'tenant'\nconcurrent = 3";
        let members = members(&redis, 2, rules).await;
        let held = [members[0].ask(&Costs::default()).await.unwrap(), members[0].ask(&Costs::default()).await.unwrap()];
        let other = members[1].ask(&Costs::default()).await.unwrap();
        assert!(members[1].ask(&Costs::default()).await.is_err());
        drop(other);
        let other = eventually("a call that ended makes room", PATIENCE, async || members[1].ask(&Costs::default()).await.ok()).await;
        // As the server sees a gateway that died: its lanes say nothing any more, and its calls were never taken back.
        let keys = redis.ask("KEYS test:*:/acme").unwrap();
        let key = keys.lines().last().unwrap().to_owned();
        redis.ask(&format!("HSET {key} of-one-that-died 1")).unwrap();
        drop(held);
        let three = async || {
            let two = [members[0].ask(&Costs::default()).await, members[0].ask(&Costs::default()).await];
            two.iter().all(Result::is_ok).then_some(())
        };
        eventually("the calls of the dead count no more", PATIENCE, three).await;
        drop(other);
    });
}

#[test]
fn without_the_server_each_gateway_has_its_share_and_loses_no_time() {
    bounded(async {
        let mut redis = Redis::start().await;
        let members = members(&redis, 3, "[[limit]]\nper = 'tenant'\nrequests = '900/24h'").await;
        assert_eq!(race(&members, 297, Costs::default(), None).await, 297);
        for member in &members {
            // Of calls at once, one gateway's may all have been counted before another's: now each has heard of all.
            member.ask(&Costs::default()).await.unwrap();
        }
        redis.kill();
        for member in &members {
            member.unlinked().await;
        }
        let began = std::time::Instant::now();
        // What is left is shared: 200 each, but for what came after a gateway's last answer.
        let let_in = race(&members, 1500, Costs::default(), None).await;
        assert!((597..=606).contains(&let_in), "{let_in}");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        // One that comes back knowing nothing is told what was used.
        redis.start_again().await;
        for member in &members {
            member.linked().await;
        }
        let more = race(&members, 300, Costs::default(), None).await;
        assert!(more <= 60, "{more}");
    });
}

#[test]
fn what_quotas_grew_by_without_the_server_is_told_when_it_is_back() {
    bounded(async {
        let redis = Redis::start().await;
        let members = members(&redis, 2, "[[limit]]\nper = 'tenant'\ntokens = '1000/month'").await;
        let hundred = Costs { tokens: 100, ..Costs::default() };
        members[0].ask(&hundred).await.unwrap().settle(&hundred);
        redis.signal(Signal::STOP);
        for member in &members {
            member.unlinked().await;
        }
        members[1].ask(&hundred).await.unwrap().settle(&Costs { tokens: 70, ..Costs::default() });
        redis.signal(Signal::CONT);
        for member in &members {
            member.linked().await;
        }
        let permit = members[0].ask(&hundred).await.unwrap();
        let left = permit.standings().next().unwrap().1.remaining;
        permit.settle(&hundred);
        assert_eq!(left, 1000 - 100 - 70 - 100);
    });
}

#[test]
fn a_server_that_hangs_is_waited_for_a_few_times_and_then_no_more() {
    bounded(async {
        let redis = Redis::start().await;
        let members = members(&redis, 1, "[[limit]]\nper = 'tenant'\nrequests = '1M/1s'").await;
        redis.signal(Signal::STOP);
        for _ in 0..6 {
            assert!(members[0].ask(&Costs::default()).await.is_ok());
        }
        assert!(members[0].lane.link().is_none());
        let began = std::time::Instant::now();
        assert!(members[0].ask(&Costs::default()).await.is_ok());
        assert!(began.elapsed() < Duration::from_millis(100));
        redis.signal(Signal::CONT);
        members[0].linked().await;
    });
}

#[test]
fn a_call_whose_caller_left_is_charged_nothing() {
    bounded(async {
        let redis = Redis::start().await;
        let members = members(&redis, 1, "[[limit]]\nper = 'tenant'\nconcurrent = 1\nrequests = '5/month'").await;
        redis.signal(Signal::STOP);
        // The question is on its way when its caller leaves.
        let left = tokio::time::timeout(Duration::from_millis(20), members[0].ask(&Costs::default())).await;
        assert!(left.is_err());
        redis.signal(Signal::CONT);
        let permit = eventually("the place is free again", PATIENCE, async || members[0].ask(&Costs::default()).await.ok()).await;
        let quota = permit.standings().find(|(rule, _)| rule.said == "5/month").unwrap().1.remaining;
        assert_eq!(quota, 4);
    });
}
