//! What a pipeline costs beside its models: `cargo test --release -p torchmesh-tests --test behaviours pipelines::measure -- --ignored --nocapture`.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use torchmesh_api::tensor::Tensor;
use torchmesh_tests::{bounded_by, client, models::Model, wait::median};

use super::{mesh, output, request, step};

const ROUNDS: usize = 200;
const WARM_UP: usize = 20;

/// Whom to ask, for which model, with which tensors.
type Question<'a> = (SocketAddr, &'a str, &'a [(&'a str, Tensor)]);

/// The middle one of how long calls of each of these take, made in turn so that a moment of a busy machine meets all of them.
async fn times<const N: usize>(questions: [Question<'_>; N], rounds: usize) -> [Duration; N] {
    let mut clients = questions.map(|(address, ..)| client::inference(address));
    let mut times = [const { Vec::new() }; N];
    for round in 0..rounds + WARM_UP {
        for ((times, client), (_, name, inputs)) in times.iter_mut().zip(&mut clients).zip(questions) {
            let request = request(name, inputs);
            let began = Instant::now();
            client.model_infer(request).await.unwrap();
            if round >= WARM_UP {
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
        let two = [
            input,
            &step("a", "slow", "INPUT0 = 'input.x'", ""),
            &step("b", "slow-too", "INPUT0 = 'input.x'", ""),
            &output("a", "'a.OUTPUT0'"),
            &output("b", "'b.OUTPUT0'"),
        ]
        .concat();
        let models = [Model::slow(), Model::slow().called("slow-too"), Model::slow().called("slow-as-well")];
        let mesh = mesh(models, &[("chain/1", &chain), ("beside/1", &beside), ("two/1", &two)]).await;
        for millis in [0, 10, 20] {
            let x = [("x", Tensor::from_i64s([1, 1], &[millis]))];
            let model = [("INPUT0", x[0].1.clone())];
            let rounds = if millis == 0 { ROUNDS } else { ROUNDS / 4 };
            let (gateway, router) = (mesh.gateway(), mesh.routers[0].addr);
            let questions: [Question<'_>; 6] = [
                (gateway, "slow", &model),
                (router, "slow", &model),
                (gateway, "chain", &x),
                (router, "chain", &x),
                (gateway, "beside", &x),
                (gateway, "two", &x),
            ];
            let [one, one_inside, chain, chain_inside, beside, two] = times(questions, rounds).await.map(micros);
            let computed = 3.0 * 1000.0 * millis as f64;
            println!(
                "models of {millis} ms: three in a row {chain:.0} us, three calls by the caller {:.0} us; from the router on {chain_inside:.0} us and {:.0} us; \
                 {:.0} us more than the models compute; two side by side {two:.0} us, three {beside:.0} us, one call {one:.0} us",
                3.0 * one,
                3.0 * one_inside,
                chain - computed,
            );
        }
    });
}
