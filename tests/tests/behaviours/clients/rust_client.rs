//! The client for Rust services: what its guide says, against a mesh that fails, restarts and refuses.

use std::{
    convert::Infallible,
    fs,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use torchmesh_client::{
    Client, ClientCredentials, Code, ConnectError, RetryPolicy, Status, Tensor,
    text::v1::{ChatMessage, ChatRequest, FinishReason, GenerationSettings},
};
use torchmesh_tests::{
    KEY, MeshSandbox, Signal, bounded, eventually, key_entry,
    models::Model,
    tls::{Authority, Certificate},
};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "a-secret-of-the-test";
/// As `openssl genpkey -algorithm ed25519` writes it.
const SIGNING_KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD\n-----END PRIVATE KEY-----\n";

async fn client(mesh: &MeshSandbox, key: &str) -> Client {
    Client::builder(format!("http://{}", mesh.gateway())).api_key(key).connect().await.unwrap()
}

async fn noop(client: &Client) -> Result<(), Status> {
    client.infer("noop", [("INPUT0", Tensor::from_f32s([1, 256], &[0.0; 256]))]).await.map(drop)
}

#[test]
fn texts_tensors_and_conversations_are_a_line_each() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm(), Model::smollm2()]).await;
        let client = client(&mesh, KEY).await;
        let vectors = client.embed("minilm", ["A man is eating food.", "A man is eating a piece of bread."]).await.unwrap();
        let likeness: f32 = vectors[0].iter().zip(&vectors[1]).map(|(a, b)| a * b).sum();
        assert!(vectors.iter().all(|vector| vector.len() == 384) && likeness > 0.7 && likeness < 0.9, "{likeness}");
        let [ids, mask] = [[101, 7592, 2088, 102], [1; 4]].map(|values| Tensor::from_i64s([1, 4], &values));
        let outputs = client.infer("minilm", [("input_ids", ids), ("attention_mask", mask)]).await.unwrap();
        assert_eq!(outputs.get("embedding").unwrap().to_f32s().unwrap().len(), 384);
        let message = ChatMessage { role: "user".to_owned(), content: "What is the capital of France?".to_owned(), ..Default::default() };
        let settings = GenerationSettings { temperature: Some(0.0), max_tokens: Some(8), ..Default::default() };
        let request = ChatRequest { messages: vec![message], settings: Some(settings), ..Default::default() };
        let (mut pieces, mut text) = (client.chat("smollm2", request).await.unwrap(), String::new());
        while let Some(piece) = pieces.next().await {
            text.push_str(&piece.unwrap());
        }
        assert!(text.contains("Paris"), "{text}");
        assert!(pieces.finish_reason() != FinishReason::Unspecified && pieces.usage().unwrap().completion_tokens > 0);
    });
}

#[test]
fn a_wrong_key_is_refused_at_once_and_is_shown_once() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        let status = noop(&client(&mesh, "tm_wrong").await).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert!(!format!("{status:?}").contains("tm_wrong"));
        let why = [("credential", "key"), ("why", "unknown")];
        mesh.gateways[0].metric_until("torchmesh_gateway_refused_credentials_total", &why, PATIENCE, |refused| refused == 1).await;
    });
}

/// Eight callers who call on and on; what happens meanwhile costs none of them an error.
async fn nobody_notices(client: Client, what: impl AsyncFnOnce(&dyn Fn() -> usize)) {
    let answered = AtomicUsize::new(0);
    let caller = async || -> Result<Infallible, Status> {
        loop {
            noop(&client).await?;
            answered.fetch_add(1, Relaxed);
        }
    };
    let callers = async { tokio::try_join!(caller(), caller(), caller(), caller(), caller(), caller(), caller(), caller()) };
    let so_many = || answered.load(Relaxed);
    tokio::select! {
        ended = callers => {
            let status: Status = ended.unwrap_err();
            panic!("a call was lost: {status}")
        }
        () = what(&so_many) => {}
    }
}

/// Until so many more calls have been answered.
async fn answers(answered: &dyn Fn() -> usize, more: usize) {
    let before = answered();
    eventually("more calls are answered", PATIENCE, async || (answered() >= before + more).then_some(())).await;
}

#[test]
fn the_only_worker_is_killed_and_comes_back_under_load_and_no_call_is_lost() {
    bounded(async {
        let mut mesh = MeshSandbox::with([Model::noop()]).await;
        let patient =
            RetryPolicy::default().max_tries(100).backoff(Duration::from_millis(50), Duration::from_millis(500)).budget(1.0, 1000);
        let client = Client::builder(format!("http://{}", mesh.gateway())).api_key(KEY).retries(patient).connect().await.unwrap();
        Box::pin(nobody_notices(client, async |answered| {
            answers(answered, 50).await;
            mesh.workers[0].end(Signal::KILL).await;
            mesh.start_again("worker", 0).await;
            answers(answered, 50).await;
        }))
        .await;
    });
}

#[test]
fn one_of_two_gateways_is_killed_under_load_and_no_call_is_lost() {
    bounded(async {
        let mut mesh = MeshSandbox::builder().gateways(2).model(Model::noop()).start().await;
        let [one, other] = [0, 1].map(|at| format!("http://{}", mesh.gateways[at].addr));
        let client = Client::builder(one).address(other).api_key(KEY).connect().await.unwrap();
        Box::pin(nobody_notices(client, async |answered| {
            answers(answered, 50).await;
            mesh.gateways[0].end(Signal::KILL).await;
            answers(answered, 200).await;
        }))
        .await;
    });
}

#[test]
fn a_limit_is_waited_for_as_long_as_the_gateway_says() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let limits = folder.path().join("limits.toml");
        fs::write(&limits, "[[limit]]\nper = 'tenant'\nrequests = '5/1s'").unwrap();
        let mesh = MeshSandbox::builder().model(Model::noop()).set("gateway", "limits_file", limits.to_str().unwrap()).start().await;
        let (client, began) = (client(&mesh, KEY).await, Instant::now());
        for _ in 0..10 {
            noop(&client).await.unwrap();
        }
        // Five at once, and the others as one comes back each 200 ms.
        assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
        let refusals = [("per", "tenant"), ("limit", "requests")];
        let refused = mesh.gateways[0].metrics().await.count("torchmesh_gateway_limit_refusals_total", &refusals);
        assert!((1..=5).contains(&refused), "{refused}: nobody is asked again before the time that it said");
    });
}

#[test]
fn an_oauth_client_calls_over_tls_and_trusts_the_given_authority_alone() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, signing) = (Certificate::make(folder.path()), folder.path().join("signing.pem"));
        fs::write(&signing, SIGNING_KEY).unwrap();
        let client = key_entry("batch", "acme", SECRET, "scopes = [\"infer\"]").replace("[[key]]", "[[client]]");
        let mesh = MeshSandbox::builder().model(Model::noop()).keys(&client).set("gateway", "oauth.issuer", "https://models.example");
        let mesh = mesh.set("gateway", "oauth.signing_key_file", signing.to_str().unwrap());
        let mesh = mesh.set("gateway", "tls.cert", &certificate.cert).set("gateway", "tls.key", &certificate.key).start().await;
        let (url, ca) = (format!("https://localhost:{}", mesh.gateway().port()), fs::read(&certificate.cert).unwrap());
        let credentials = |secret| ClientCredentials::new(&format!("{url}/oauth/token"), "batch", secret).unwrap().ca(&ca).scope("infer");
        let with = |secret| Client::builder(&*url).ca(&*ca).token_source(credentials(secret).source());
        noop(&with(SECRET).connect().await.unwrap()).await.unwrap();
        let status = noop(&with("wrong").connect().await.unwrap()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert!(status.message().contains("invalid_client"), "{status}");
        let stranger = fs::read(Authority::make(folder.path(), "stranger.pem").ca).unwrap();
        let error = Client::builder(&*url).ca(stranger).connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    });
}

#[test]
fn a_workload_shows_its_certificate_in_place_of_a_key() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, authority) = (Certificate::make(folder.path()), Authority::make(folder.path(), "ca.pem"));
        let settings = [("cert", &*certificate.cert), ("key", &certificate.key), ("client_ca", &authority.ca)];
        let mesh = MeshSandbox::builder().model(Model::noop()).set("gateway", "tls.client_certificate", "required");
        let mesh = settings.into_iter().fold(mesh, |mesh, (key, value)| mesh.set("gateway", &format!("tls.{key}"), value));
        let mesh = mesh.keys("[[workload]]\nspiffe = \"spiffe://example.org/api\"\ntenant = \"acme\"\n").start().await;
        let [chain, key] = authority.service(folder.path(), "spiffe://example.org/api").map(|path| fs::read(path).unwrap());
        let builder = Client::builder(format!("https://localhost:{}", mesh.gateway().port())).ca(fs::read(&certificate.cert).unwrap());
        noop(&builder.identity(chain, key).connect().await.unwrap()).await.unwrap();
    });
}
