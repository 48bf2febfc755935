//! What a million calls leave behind in memory: `cargo test --release -p torchmesh-tests --test behaviours metering::memory -- --ignored --nocapture`.

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use torchmesh_tests::{MeshSandbox, bounded_by, client, ledger::Ledger, memory, models::Model, raw};

use super::Call;

const CALLS: u64 = 1_000_000;
/// Calls between two looks.
const STEP: u64 = 100_000;
/// Connections, and calls on each of them.
const CONNECTIONS: u64 = 8;
const AT_ONCE: u64 = 8;

/// Limits that are counted for each call, and never reached.
const LIMITS: &str = "
[[limit]]
per = 'tenant'
requests = '1G/1m'
tokens = '100G/1m'
concurrent = 4096

[[limit]]
per = 'model'
requests = '1G/1m'
";

/// Makes so many calls, each with an id and a session of its own, counted from `first`.
async fn calls(address: SocketAddr, first: u64, count: u64) {
    let mut callers = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let open = Arc::new(raw::Connection::open(address).await.unwrap());
        for caller in 0..AT_ONCE {
            let own = (first..first + count).skip((connection * AT_ONCE + caller) as usize).step_by((CONNECTIONS * AT_ONCE) as usize);
            let open = Arc::clone(&open);
            callers.spawn(async move {
                for number in own.map(|number| number.to_string()) {
                    let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key().within(Duration::from_secs(30));
                    let call = call.header("x-request-id", &number).header("x-torchmesh-session", &number);
                    let answer = open.call(&call).await.unwrap();
                    assert_eq!(answer.status().code(), tonic::Code::Ok, "{answer:?}");
                }
            });
        }
    }
    callers.join_all().await;
}

#[test]
#[ignore = "a measurement, not a check: `make gauge`"]
fn what_a_million_calls_with_every_policy_leave_in_memory() {
    bounded_by(Duration::from_secs(900), async {
        let (ledger, folder) = (Ledger::default(), tempfile::tempdir().unwrap());
        let limits = folder.path().join("limits.toml");
        fs::write(&limits, LIMITS).unwrap();
        let builder = ledger.of(MeshSandbox::builder().model(Model::noop()));
        let mesh = builder.set("gateway", "limits_file", limits.to_str().unwrap()).start().await;
        let look = |calls: u64| {
            let [gateway, router, worker] = [&mesh.gateways[0], &mesh.routers[0], &mesh.workers[0]]
                .map(|instance| memory::resident(instance.pid()) as f64 / f64::from(1 << 20));
            println!("{calls:>9} calls: gateway {gateway:.1} MiB, router {router:.1} MiB, worker {worker:.1} MiB");
        };
        look(0);
        for first in (0..CALLS).step_by(STEP as usize) {
            calls(mesh.gateway(), first, STEP).await;
            look(first + STEP);
        }
    });
}
