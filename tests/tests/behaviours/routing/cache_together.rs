//! Answers that routers keep together in Redis: what one has been given, all have, and no call fails for it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use torchmesh_tests::{
    MeshSandbox, Signal, bounded, eventually,
    models::Model,
    raw::{self, Call},
    redis::Redis,
};

use super::cache::{asks, builder, computed, route, said};

const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than in production: on a busy machine the tests are to be about answers, not about time.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A mesh of two routers that keep the answers of `noop` together.
async fn mesh(folder: &Path, redis: &Redis) -> MeshSandbox {
    let builder = builder(folder, &route("noop", "ttl = '1h'")).model(Model::noop()).routers(2);
    let builder = builder.set("router", "cache.redis.url", &redis.url());
    let mesh = builder.set("router", "cache.redis.timeout", &format!("{}ms", TIMEOUT.as_millis())).start().await;
    linked(&mesh, 1).await;
    mesh
}

/// Until every router has so many links to Redis.
async fn linked(mesh: &MeshSandbox, links: u64) {
    for router in &mesh.routers {
        router.metric_until("torchmesh_router_cache_redis_links", &[], PATIENCE, |found| found == links).await;
    }
}

/// Asks a router itself, in the name of this tenant; gives what it says of the cache.
async fn ask_as(mesh: &MeshSandbox, router: usize, tenant: &str, number: f32) -> String {
    let call: Call = asks("me", number).header("x-torchmesh-tenant", tenant);
    let answer = raw::call(mesh.routers[router].addr, &call).await;
    let (cache, message) = said(&answer);
    let first = torchmesh_tests::client::floats(&message)[0];
    assert_eq!((message.id.as_str(), first.to_bits()), ("me", number.to_bits()), "every answer is the right one");
    cache.unwrap().to_owned()
}

async fn ask(mesh: &MeshSandbox, router: usize, number: f32) -> String {
    ask_as(mesh, router, "acme", number).await
}

async fn results(mesh: &MeshSandbox, router: usize, result: &str) -> u64 {
    mesh.routers[router].metrics().await.count("torchmesh_router_cache_questions_total", &[("result", result)])
}

/// Until Redis has so many answers.
async fn stored(redis: &Redis, answers: usize) {
    let what = format!("Redis has {answers} answers");
    eventually(&what, PATIENCE, async || (redis.ask("DBSIZE").unwrap() == format!(":{answers}\r\n")).then_some(())).await;
}

/// The only key there is.
fn key(redis: &Redis) -> String {
    let keys = redis.ask("KEYS torchmesh:answer:*").unwrap();
    keys.lines().find(|line| line.starts_with("torchmesh:answer:")).unwrap_or_else(|| panic!("no answer: {keys}")).to_owned()
}

#[test]
fn what_one_router_was_given_the_other_has_and_no_other_tenant() {
    bounded(async {
        let (folder, redis) = (tempfile::tempdir().unwrap(), Redis::start().await);
        let mesh = mesh(folder.path(), &redis).await;
        assert_eq!(ask(&mesh, 0, 1.5).await, "miss");
        stored(&redis, 1).await;
        assert_eq!(ask(&mesh, 1, 1.5).await, "hit");
        assert_eq!((results(&mesh, 1, "stored").await, computed(&mesh).await), (1, 1), "computed once, by the mesh");
        redis.ask("FLUSHALL").unwrap();
        assert_eq!(ask(&mesh, 1, 1.5).await, "hit");
        assert_eq!((results(&mesh, 1, "stored").await, results(&mesh, 1, "hit").await), (1, 1), "and from memory after that");
        assert_eq!(ask_as(&mesh, 1, "globex", 1.5).await, "miss", "another tenant");
        stored(&redis, 1).await;
        assert_eq!(ask_as(&mesh, 0, "globex", 1.5).await, "hit");
        assert_eq!(computed(&mesh).await, 2);
    });
}

#[test]
fn a_version_that_was_loaded_anew_is_not_answered_for_by_what_redis_has_of_it() {
    bounded(async {
        let (folder, redis) = (tempfile::tempdir().unwrap(), Redis::start().await);
        let mesh = mesh(folder.path(), &redis).await;
        assert_eq!(ask(&mesh, 0, 1.0).await, "miss");
        stored(&redis, 1).await;
        // By a question of its own each router tells whether it knows of the new load.
        for (router, number) in [(0, 2.0), (1, 3.0)] {
            ask(&mesh, router, number).await;
            assert_eq!(ask(&mesh, router, number).await, "hit");
        }
        let file = mesh.folder().join("models/noop/1/model.pt");
        let content = fs::read(fs::canonicalize(&file).unwrap()).unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&file, content).unwrap();
        for (router, number) in [(0, 2.0), (1, 3.0)] {
            let what = "the router knows of the new load";
            eventually(what, PATIENCE, async || (ask(&mesh, router, number).await == "miss").then_some(())).await;
        }
        let found = results(&mesh, 1, "stored").await;
        assert_eq!(ask(&mesh, 1, 1.0).await, "miss", "Redis has an answer of the load before");
        assert_eq!(results(&mesh, 1, "stored").await, found);
    });
}

#[test]
fn a_redis_that_is_silent_costs_a_moment_and_no_call_and_is_found_again() {
    bounded(async {
        let (folder, redis) = (tempfile::tempdir().unwrap(), Redis::start().await);
        let mesh = mesh(folder.path(), &redis).await;
        ask(&mesh, 0, 0.5).await;
        redis.signal(Signal::STOP);
        let mut waits = Vec::new();
        for number in 1..=12_u8 {
            let began = Instant::now();
            assert_eq!(ask(&mesh, 0, number.into()).await, "miss");
            waits.push(began.elapsed());
        }
        // A few waited in vain; then there was no link, and nobody waited.
        let waited = waits.iter().filter(|wait| **wait >= TIMEOUT).count();
        assert!((1..=6).contains(&waited), "{waits:?}");
        mesh.routers[0].metric_until("torchmesh_router_cache_redis_links", &[], PATIENCE, |links| links == 0).await;
        assert_eq!(mesh.routers[0].log().matches("redis is away").count(), 1);
        redis.signal(Signal::CONT);
        linked(&mesh, 1).await;
        let mut number = 100.0;
        eventually("the routers share again", PATIENCE, async || {
            number += 1.0;
            ask(&mesh, 0, number).await;
            (ask(&mesh, 1, number).await == "hit").then_some(())
        })
        .await;
    });
}

#[test]
fn a_redis_that_dies_is_done_without_and_used_again_when_it_is_back() {
    bounded(async {
        let (folder, mut redis) = (tempfile::tempdir().unwrap(), Redis::start().await);
        let mesh = mesh(folder.path(), &redis).await;
        assert_eq!(ask(&mesh, 0, 1.0).await, "miss");
        stored(&redis, 1).await;
        redis.kill();
        for number in 1..=5_u8 {
            let wanted = if number == 1 { "hit" } else { "miss" };
            assert_eq!(ask(&mesh, 0, number.into()).await, wanted, "what a router has itself it has without Redis");
        }
        linked(&mesh, 0).await;
        redis.start_again().await;
        linked(&mesh, 1).await;
        assert_eq!(ask(&mesh, 0, 9.0).await, "miss");
        stored(&redis, 1).await;
        assert_eq!(ask(&mesh, 1, 9.0).await, "hit");
    });
}

#[test]
fn what_redis_has_and_nobody_can_read_is_computed() {
    bounded(async {
        let (folder, redis) = (tempfile::tempdir().unwrap(), Redis::start().await);
        let mesh = mesh(folder.path(), &redis).await;
        assert_eq!(ask(&mesh, 0, 1.0).await, "miss");
        stored(&redis, 1).await;
        let key = key(&redis);
        redis.ask(&format!("SET {key} garbage")).unwrap();
        assert_eq!(ask(&mesh, 1, 1.0).await, "miss");
        let is_good = async || redis.ask(&format!("GET {key}")).is_ok_and(|found| !found.contains("garbage")).then_some(());
        eventually("the router's answer takes the place of it", PATIENCE, is_good).await;
        // Another question, and something that is no text.
        redis.ask("FLUSHALL").unwrap();
        assert_eq!(ask(&mesh, 0, 2.0).await, "miss");
        stored(&redis, 1).await;
        let key = self::key(&redis);
        redis.ask(&format!("DEL {key}")).unwrap();
        redis.ask(&format!("LPUSH {key} garbage")).unwrap();
        assert_eq!(ask(&mesh, 1, 2.0).await, "miss");
        // And the link is still there.
        linked(&mesh, 1).await;
        assert_eq!(computed(&mesh).await, 4);
    });
}
