//! What a pipeline costs beside its models: `cargo test --release -p torchmesh-tests --test behaviours pipelines::measure -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use torchmesh_api::tensor::Tensor;
use torchmesh_tests::{MeshSandbox, bounded_by, client, models::Model, wait::median};

use super::{mesh, output, request, step};

const ROUNDS: usize = 200;

/// The middle one of how long calls of each of these take, made in turn so that a moment of a busy machine meets all of them.
async fn times<const N: usize>(mesh: &MeshSandbox, questions: [(&str, &[(&str, Tensor)]); N], rounds: usize) -> [Duration; N] {
    let mut client = client::inference(mesh.gateway());
    let mut times = [const { Vec::new() }; N];
    for round in 0..rounds + 20 {
        for (times, (name, inputs)) in times.iter_mut().zip(questions) {
            let request = request(name, inputs);
            let began = Instant::now();
            client.model_infer(request).await.unwrap();
            if round >= 20 {
                times.push(began.elapsed());
            }
        }
    }
    times.map(median)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[test]
#[ignore = "a measurement, not a check: `make gauge`"]
fn what_three_steps_cost_beside_their_models() {
    bounded_by(Duration::from_secs(300), async {
        let input = "[[input]]\nname = 'x'\ndatatype = 'INT64'\nshape = [-1, 1]\n";
        let chain = [
            input,
            &step("a", "slow", "INPUT0 = 'input.x'", ""),
            &step("b", "slow", "INPUT0 = 'a.OUTPUT0'", ""),
            &step("c", "slow", "INPUT0 = 'b.OUTPUT0'", ""),
            &output("y", "'c.OUTPUT0'"),
        ]
        .concat();
        let beside = [
            input,
            &step("a", "slow", "INPUT0 = 'input.x'", ""),
            &step("b", "slow-too", "INPUT0 = 'input.x'", ""),
            &step("c", "slow-as-well", "INPUT0 = 'input.x'", ""),
            &output("a", "'a.OUTPUT0'"),
            &output("b", "'b.OUTPUT0'"),
            &output("c", "'c.OUTPUT0'"),
        ]
        .concat();
        let models = [Model::slow(), Model::slow().called("slow-too"), Model::slow().called("slow-as-well")];
        let mesh = mesh(models, &[("chain/1", &chain), ("beside/1", &beside)]).await;
        for millis in [0, 10, 20] {
            let x = [("x", Tensor::from_i64s([1, 1], &[millis]))];
            let model = [("INPUT0", x[0].1.clone())];
            let rounds = if millis == 0 { ROUNDS } else { ROUNDS / 4 };
            let [one, chain, beside] = times(&mesh, [("slow", &model), ("chain", &x), ("beside", &x)], rounds).await;
            let computed = Duration::from_millis(3 * u64::try_from(millis).unwrap());
            println!(
                "models of {millis} ms: one call {:.0} us; three in a row {:.0} us, {:.0} more than three calls by the client, {:.0} more than they compute; \
                 three side by side {:.0} us",
                micros(one),
                micros(chain),
                micros(chain) - 3.0 * micros(one),
                micros(chain) - micros(computed),
                micros(beside),
            );
        }
    });
}
