use super::*;
use crate::{golden::fetched, tests::classified};

/// Forty texts of each of two kinds.
fn lines() -> String {
    let (foods, machines) = (["bread", "soup", "apples", "cheese", "rice"], ["engine", "server", "printer", "compiler", "keyboard"]);
    let line = |at: usize| {
        let (food, machine) = (foods[at % 5], machines[at % 5]);
        let eats = format!("{{\"text\": \"She cooks {at} bowls of {food} for dinner.\", \"label\": \"kitchen\"}}\n");
        let runs = format!("{{\"text\": \"The {machine} number {at} stopped working again.\", \"label\": \"office\"}}\n");
        eats + &runs
    };
    (0..40).map(line).collect()
}

fn args(folder: &std::path::Path, out: &str) -> TrainHeadArgs {
    let data = folder.join("data.jsonl");
    std::fs::write(&data, lines()).unwrap();
    TrainHeadArgs { encoder: fetched("all-MiniLM-L6-v2"), data, out: folder.join(out), max_tokens: 32 }
}

#[tokio::test]
async fn a_head_is_trained_and_served_beside_its_encoder_without_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let args = args(folder.path(), "head.safetensors");
    args.run().unwrap();
    let labels = classified(&args.encoder, &args.out, &["We eat warm cake.", "My laptop shows a blue screen."]).await;
    assert_eq!(labels, ["kitchen", "office"]);
}

#[test]
fn the_same_texts_give_the_same_head() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (args(folder.path(), "one"), args(folder.path(), "other"));
    one.run().unwrap();
    other.run().unwrap();
    let bytes = |args: &TrainHeadArgs| LinearHead::load(&args.out).unwrap();
    assert_eq!(bytes(&one), bytes(&other));
}

#[test]
fn too_few_texts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let args = args(folder.path(), "head.safetensors");
    std::fs::write(&args.data, lines().lines().take(2).collect::<Vec<_>>().join("\n")).unwrap();
    assert!(args.run().unwrap_err().to_string().contains("2 texts are too few"));
}
