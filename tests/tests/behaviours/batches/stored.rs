//! Files whose contents are in an object store: batches are as before, and nothing is lost while the store is away.

use torchmesh_tests::{TENANT, bucket::Bucket};

use super::*;

/// The names of what a mesh's folder has of the tenant's files and batches, by how they end.
fn left(folder: &TempDir, ends: &str) -> Vec<String> {
    let folders = ["files", "batches"].map(|kind| folder.path().join(TENANT).join(kind));
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(ends)).collect()
}

#[test]
fn openais_client_makes_batches_whose_files_are_in_a_bucket() {
    bounded(async {
        let (folder, bucket) = (TempDir::new().unwrap(), Bucket::start().await);
        let mesh = mesh(&folder, |builder| bucket.of(builder)).await;
        is_content(script("openai_batches.py", &mesh)).await;
        let id = begin(mesh.gateway(), KEY, &lines(3)).await;
        let batch = over(mesh.gateway(), KEY, &id).await;
        assert_eq!(batch["status"], "completed", "{batch}");
        for field in ["input_file_id", "output_file_id"] {
            let object = format!("mesh/{TENANT}/{}.jsonl", text(&batch, field));
            assert!(bucket.objects().contains(&object), "{object} is not among {:?}", bucket.objects());
        }
        // The batch is told to be over a moment before what only it needed is gone.
        for ends in [".jsonl", ".part", ".input", ".lock"] {
            eventually(&format!("no {ends} is left in the folder"), PATIENCE, async || left(&folder, ends).is_empty().then_some(())).await;
        }
    });
}

#[test]
fn a_large_file_comes_in_parts_and_is_the_same_when_it_is_read_and_gone_when_it_is_removed() {
    bounded(async {
        let (folder, bucket) = (TempDir::new().unwrap(), Bucket::start().await);
        let mesh = mesh(&folder, |builder| bucket.of(builder)).await;
        let sent: String = ('a'..='z').cycle().take(9 << 20).collect();
        let file = upload(mesh.gateway(), KEY, &sent).await;
        assert_eq!((file.status, bucket.in_parts()), (200, 1), "{}", file.text());
        let path = format!("/v1/files/{}", text(&file.json(), "id"));
        let read = get(mesh.gateway(), KEY, &format!("{path}/content")).await;
        assert!(read.status == 200 && read.text() == sent, "it is another");
        let removed = ask(mesh.gateway(), KEY, web::request(Method::DELETE, &path, "")).await;
        assert_eq!((removed.status, bucket.objects().len()), (200, 0));
        assert_eq!(get(mesh.gateway(), KEY, &path).await.status, 404);
    });
}

#[test]
fn a_batch_in_a_bucket_whose_gateway_is_killed_goes_on_in_another_and_each_line_is_billed_once() {
    bounded_by(Duration::from_secs(150), async {
        let bucket = Bucket::start().await;
        killed_in_the_middle(|builder| bucket.of(builder)).await;
    });
}

#[test]
fn a_batch_goes_on_when_the_bucket_is_back_and_nothing_is_lost() {
    bounded_by(Duration::from_secs(150), async {
        const LINES: usize = 300;
        let (folder, bucket) = (TempDir::new().unwrap(), Bucket::start().await);
        let mesh = mesh(&folder, |builder| bucket.of(builder).set("gateway", "batches.at_once", "2")).await;
        let gateway = mesh.gateway();
        let before = upload(gateway, KEY, &lines(1)).await.json();
        let id = begin(gateway, KEY, &lines(LINES)).await;
        eventually("its lines were fetched", PATIENCE, async || {
            // It may be over already; then it is another one's turn.
            (show(gateway, KEY, &id).await["status"] != "validating").then_some(())
        })
        .await;
        bucket.set_down(true);
        let is_over = async || show(gateway, KEY, &id).await["status"] == "completed";
        if !is_over().await {
            let tried = || mesh.gateways[0].log().contains("tried in vain to run batches");
            eventually("its answers cannot be put there", PATIENCE, async || tried().then_some(())).await;
            assert!(!is_over().await, "it is over when its answers are where they belong");
        }
        let sent = upload(gateway, KEY, &lines(1)).await;
        assert_eq!(sent.status, 503, "{}", sent.text());
        let path = format!("/v1/files/{}", text(&before, "id"));
        assert_eq!(get(gateway, KEY, &format!("{path}/content")).await.status, 503);
        let removed = ask(gateway, KEY, web::request(Method::DELETE, &path, "")).await;
        assert_eq!((removed.status, get(gateway, KEY, &path).await.status), (503, 200), "what could not be removed is still there");
        bucket.set_down(false);
        let batch = over(gateway, KEY, &id).await;
        assert_eq!((&batch["status"], completed(&batch)), (&json!("completed"), LINES as u64), "{batch}");
        let names = answered(gateway, KEY, &batch["output_file_id"]).await;
        assert_eq!((names.len(), names.iter().collect::<BTreeSet<_>>().len()), (LINES, LINES), "each line has one answer");
        let removed = ask(gateway, KEY, web::request(Method::DELETE, &path, "")).await;
        assert_eq!(removed.status, 200, "{}", removed.text());
    });
}
