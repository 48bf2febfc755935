//! Many calls that can wait: each is answered once and billed once, whatever happens to the gateways.

mod stored;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use http::{HeaderValue, Method, Request, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use torchmesh_tests::{
    KEY, MeshSandbox, bounded, bounded_by, eventually,
    instance::Signal,
    key_entry,
    ledger::{Ledger, lines_of, text},
    models::Model,
    python::{is_content, script},
    sandbox::Builder,
    web::{self, Answer, Connection},
};

const PATIENCE: Duration = Duration::from_secs(60);
const OTHER: &str = "tm_other_9876543210";

/// A mesh with a folder for batches, which outlives its gateways.
async fn mesh(folder: &TempDir, more: impl FnOnce(Builder) -> Builder) -> MeshSandbox {
    let builder = MeshSandbox::builder().model(Model::minilm()).set("gateway", "batches.folder", folder.path().to_str().unwrap());
    more(builder).start().await
}

async fn ask(gateway: SocketAddr, key: &str, mut request: Request<bytes::Bytes>) -> Answer {
    let key = HeaderValue::try_from(format!("Bearer {key}")).unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, key);
    Connection::http1(gateway).await.unwrap().send(request).await.unwrap()
}

async fn get(gateway: SocketAddr, key: &str, path: &str) -> Answer {
    ask(gateway, key, web::request(Method::GET, path, "")).await
}

async fn post(gateway: SocketAddr, key: &str, path: &str, body: &Value) -> Answer {
    ask(gateway, key, web::request(Method::POST, path, body.to_string())).await
}

/// So many lines, each with an id of its own.
pub(crate) fn lines(count: usize) -> String {
    let line = |number| {
        let body = json!({ "model": "minilm", "input": format!("text {number}") });
        json!({ "custom_id": format!("n{number}"), "method": "POST", "url": "/v1/embeddings", "body": body }).to_string()
    };
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

async fn upload(gateway: SocketAddr, key: &str, lines: &str) -> Answer {
    let part = |head: &str, body: &str| format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n");
    let form = part("name=\"purpose\"", "batch") + &part("name=\"file\"; filename=\"calls.jsonl\"", lines) + "--x--\r\n";
    let mut request = web::request(Method::POST, "/v1/files", form);
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=x"));
    ask(gateway, key, request).await
}

/// Begins a batch of these lines, and gives its id.
pub(crate) async fn begin(gateway: SocketAddr, key: &str, lines: &str) -> String {
    let file = upload(gateway, key, lines).await;
    assert_eq!(file.status, 200, "{}", file.text());
    let wanted = json!({ "input_file_id": file.json()["id"], "endpoint": "/v1/embeddings", "completion_window": "24h" });
    let batch = post(gateway, key, "/v1/batches", &wanted).await;
    assert_eq!(batch.status, 200, "{}", batch.text());
    text(&batch.json(), "id")
}

pub(crate) async fn show(gateway: SocketAddr, key: &str, id: &str) -> Value {
    get(gateway, key, &format!("/v1/batches/{id}")).await.json()
}

pub(crate) fn completed(batch: &Value) -> u64 {
    batch["request_counts"]["completed"].as_u64().unwrap()
}

pub(crate) async fn over(gateway: SocketAddr, key: &str, id: &str) -> Value {
    eventually("the batch is over", PATIENCE, async || {
        let batch = show(gateway, key, id).await;
        ["completed", "failed", "expired", "cancelled"].iter().any(|status| batch["status"] == *status).then_some(batch)
    })
    .await
}

/// The ids of the lines of an answers' file.
async fn answered(gateway: SocketAddr, key: &str, file: &Value) -> Vec<String> {
    let content = get(gateway, key, &format!("/v1/files/{}/content", file.as_str().unwrap())).await;
    content.text().lines().map(|line| text(&serde_json::from_str(line).unwrap(), "custom_id")).collect()
}

#[test]
fn openais_client_makes_batches_as_it_is() {
    bounded(async {
        let folder = TempDir::new().unwrap();
        let mesh = mesh(&folder, |builder| builder).await;
        is_content(script("openai_batches.py", &mesh)).await;
    });
}

#[test]
fn a_batch_whose_gateway_is_killed_goes_on_in_another_and_each_line_is_billed_once() {
    bounded_by(Duration::from_secs(150), async { killed_in_the_middle(|builder| builder).await });
}

/// Kills whoever runs a batch, and holds the end of it to what was asked for.
async fn killed_in_the_middle(more: impl FnOnce(Builder) -> Builder) {
    const LINES: usize = 1200;
    let (folder, metering) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let ledgers = format!("{}/{{instance}}", metering.path().display());
    let mut mesh = mesh(&folder, |builder| more(builder.gateways(2).set("gateway", "metering.folder", &ledgers))).await;
    let id = begin(mesh.gateways[0].addr, KEY, &lines(LINES)).await;
    // Whoever runs it dies, three times, somewhere in the middle.
    for kill in 1..=3 {
        let gateway = mesh.gateways[0].addr;
        let enough = LINES as u64 * kill / 5;
        eventually("lines are answered", PATIENCE, async || (completed(&show(gateway, KEY, &id).await) >= enough).then_some(())).await;
        let mut runs = Vec::new();
        for gateway in &mesh.gateways {
            runs.push(gateway.metrics().await.count("torchmesh_gateway_batches_running", &[]));
        }
        assert_eq!(runs.iter().sum::<u64>(), 1, "one gateway runs it: {runs:?}");
        let runner = runs.iter().position(|runs| *runs == 1).unwrap();
        mesh.gateways[runner].signal(Signal::KILL);
        mesh.start_again("gateway", runner).await;
    }
    let gateway = mesh.gateways[0].addr;
    let batch = over(gateway, KEY, &id).await;
    assert_eq!((&batch["status"], completed(&batch)), (&json!("completed"), LINES as u64), "{batch}");
    let names = answered(gateway, KEY, &batch["output_file_id"]).await;
    assert_eq!((names.len(), names.iter().collect::<BTreeSet<_>>().len()), (LINES, LINES), "each line has one answer");
    // Events have ids, and those of one id count once: a line that was asked twice has one.
    let billed = eventually("every line has its event", PATIENCE, async || {
        let mut billed = BTreeSet::new();
        for name in ["gateway-1", "gateway-2"] {
            let lines = lines_of(&metering.path().join(name));
            let good = lines.iter().filter(|line| line["method"] == "POST /v1/embeddings" && line["code"] == "OK");
            billed.extend(good.map(|line| text(line, "id")));
        }
        (billed.len() >= LINES).then_some(billed)
    })
    .await;
    assert_eq!(billed.len(), LINES, "each line is billed once");
}

#[test]
fn the_ledger_says_of_a_line_that_it_came_by_a_batch() {
    bounded(async {
        let (folder, ledger) = (TempDir::new().unwrap(), Ledger::default());
        let mesh = mesh(&folder, |builder| ledger.of(builder)).await;
        let gateway = mesh.gateway();
        let id = begin(gateway, KEY, &lines(3)).await;
        assert_eq!(over(gateway, KEY, &id).await["status"], "completed");
        let call = json!({ "model": "minilm", "input": "by itself" });
        assert_eq!(post(gateway, KEY, "/v1/embeddings", &call).await.status, 200);
        let doors = eventually("every call is in the ledger", PATIENCE, async || {
            let lines = ledger.lines();
            let doors = lines.iter().filter(|line| line["method"] == "POST /v1/embeddings").map(|line| text(line, "door"));
            let doors: Vec<String> = doors.collect();
            (doors.len() == 4).then_some(doors)
        })
        .await;
        let came_by = |name: &str| doors.iter().filter(|door| *door == name).count();
        assert_eq!((came_by("batch"), came_by("openai")), (3, 1), "{doors:?}");
    });
}

#[test]
fn a_budget_pays_for_twice_as_many_lines_as_calls_where_batches_cost_half() {
    bounded(async {
        let folder = TempDir::new().unwrap();
        let limits = folder.path().join("limits.toml");
        let price = "[[price]]\nmodel = 'minilm'\nper_request = '0.01'\nbatch = '50%'\n";
        std::fs::write(&limits, format!("[[limit]]\nper = 'tenant'\nbudget = '0.04/month'\n{price}")).unwrap();
        let entry = key_entry("other", "other", OTHER, "");
        let limits = limits.display().to_string();
        let mesh = mesh(&folder, |builder| builder.keys(&entry).set("gateway", "limits_file", &limits)).await;
        let gateway = mesh.gateway();
        let call = json!({ "model": "minilm", "input": "by itself" });
        let asks = async |key: &str| post(gateway, key, "/v1/embeddings", &call).await;
        for _ in 0..4 {
            assert_eq!(asks(OTHER).await.status, 200);
        }
        let spent = |answer: &Answer| answer.status == 429 && answer.text().contains("0.00 left of its budget of 0.04/month");
        eventually("four calls are all that it pays for", PATIENCE, async || spent(&asks(OTHER).await).then_some(())).await;
        let id = begin(gateway, KEY, &lines(8)).await;
        let batch = over(gateway, KEY, &id).await;
        assert_eq!((&batch["status"], completed(&batch)), (&json!("completed"), 8), "{batch}");
        eventually("and eight lines", PATIENCE, async || spent(&asks(KEY).await).then_some(())).await;
    });
}

#[test]
fn a_batch_that_is_called_off_ends_soon_and_what_was_answered_can_be_read() {
    bounded(async {
        let folder = TempDir::new().unwrap();
        let mesh = mesh(&folder, |builder| builder.set("gateway", "batches.at_once", "1")).await;
        let gateway = mesh.gateway();
        let id = begin(gateway, KEY, &lines(5000)).await;
        eventually("lines are answered", PATIENCE, async || (completed(&show(gateway, KEY, &id).await) > 0).then_some(())).await;
        let told = post(gateway, KEY, &format!("/v1/batches/{id}/cancel"), &json!({})).await;
        assert_eq!(told.json()["status"], "cancelling", "{}", told.text());
        let batch = over(gateway, KEY, &id).await;
        assert_eq!(batch["status"], "cancelled", "{batch}");
        let names = answered(gateway, KEY, &batch["output_file_id"]).await;
        assert!(names.len() as u64 == completed(&batch) && names.len() < 5000, "{batch}");
    });
}

#[test]
fn a_tenant_has_so_many_batches_at_once_and_may_begin_another_when_one_is_over() {
    bounded(async {
        let folder = TempDir::new().unwrap();
        let mesh = mesh(&folder, |builder| builder.set("gateway", "batches.at_once", "1").set("gateway", "batches.max_open", "1")).await;
        let gateway = mesh.gateway();
        let id = begin(gateway, KEY, &lines(5000)).await;
        let file = upload(gateway, KEY, &lines(1)).await.json()["id"].clone();
        let wanted = json!({ "input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h" });
        let refused = post(gateway, KEY, "/v1/batches", &wanted).await;
        assert_eq!(refused.status, 429, "{}", refused.text());
        post(gateway, KEY, &format!("/v1/batches/{id}/cancel"), &json!({})).await;
        over(gateway, KEY, &id).await;
        eventually("another may begin", PATIENCE, async || (post(gateway, KEY, "/v1/batches", &wanted).await.status == 200).then_some(()))
            .await;
    });
}

#[test]
fn a_batch_ends_when_the_key_that_began_it_is_revoked() {
    bounded(async {
        let folder = TempDir::new().unwrap();
        let entry = key_entry("other", "other", OTHER, "");
        let mesh = mesh(&folder, |builder| builder.keys(&entry).set("gateway", "batches.at_once", "1")).await;
        let gateway = mesh.gateway();
        let id = begin(gateway, OTHER, &lines(5000)).await;
        eventually("lines are answered", PATIENCE, async || (completed(&show(gateway, OTHER, &id).await) > 0).then_some(())).await;
        // Another key of the same tenant, by which the batch can still be looked at.
        mesh.rewrite_keys(&key_entry("another", "other", "tm_another_12345", ""));
        let batch = over(gateway, "tm_another_12345", &id).await;
        assert_eq!((&batch["status"], &batch["errors"]["data"][0]["code"]), (&json!("cancelled"), &json!("invalid_api_key")), "{batch}");
    });
}

#[test]
fn files_and_batches_of_another_tenant_are_not_there() {
    bounded(async {
        let folder = TempDir::new().unwrap();
        let entry = key_entry("other", "other", OTHER, "");
        let mesh = mesh(&folder, |builder| builder.keys(&entry)).await;
        let gateway = mesh.gateway();
        let id = begin(gateway, KEY, &lines(3)).await;
        let batch = over(gateway, KEY, &id).await;
        let [input, output] = ["input_file_id", "output_file_id"].map(|field| text(&batch, field));
        for path in [format!("/v1/batches/{id}"), format!("/v1/files/{input}"), format!("/v1/files/{output}/content")] {
            assert_eq!(get(gateway, KEY, &path).await.status, 200, "{path}");
            assert_eq!(get(gateway, OTHER, &path).await.status, 404, "{path}");
        }
        let remove = web::request(Method::DELETE, &format!("/v1/files/{input}"), "");
        assert_eq!(ask(gateway, OTHER, remove).await.status, 404);
        let wanted = json!({ "input_file_id": input, "endpoint": "/v1/embeddings", "completion_window": "24h" });
        assert_eq!(post(gateway, OTHER, "/v1/batches", &wanted).await.status, 404);
        for path in ["/v1/files", "/v1/batches"] {
            assert_eq!(get(gateway, OTHER, path).await.json()["data"], json!([]), "{path}");
        }
        for path in ["/v1/files/..%2f..%2fother", "/v1/files/file-..%2f..%2f..%2fetc%2fpasswd/content", "/v1/batches/x"] {
            assert_eq!(get(gateway, KEY, path).await.status, 404, "{path}");
        }
    });
}

#[test]
fn a_file_that_is_too_large_is_refused_and_leaves_nothing_behind() {
    bounded(async {
        let folder = TempDir::new().unwrap();
        let mesh = mesh(&folder, |builder| builder.set("gateway", "batches.max_file", "64KiB")).await;
        let gateway = mesh.gateway();
        // Larger than a file may be, and no larger than a form.
        let answer = upload(gateway, KEY, &"x".repeat((64 << 10) + 9)).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (413, &json!("file")), "{}", answer.text());
        assert_eq!(get(gateway, KEY, "/v1/files").await.json()["data"], json!([]));
        let left = std::fs::read_dir(folder.path().join("test-tenant/files")).unwrap().count();
        assert_eq!(left, 0, "nothing is left of it");
    });
}

#[test]
fn without_a_folder_the_doors_say_what_is_missing() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let answer = get(mesh.gateway(), KEY, "/v1/batches").await;
        assert_eq!(answer.status, 501);
        assert!(answer.text().contains("batches.folder"), "{}", answer.text());
    });
}
