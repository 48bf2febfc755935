//! The first calls: vectors of texts, classes, an answer as it is written, tensors.

use std::{env, fs, io::Write as _, time::Duration};

use torchmesh_client::{Client, RetryPolicy, Tensor};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::var("TORCHMESH_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let key = env::var("TORCHMESH_API_KEY").or_else(|_| fs::read_to_string(".torchmesh/dev.key"))?;
    let mesh = Client::builder(address).api_key(key).timeout(Duration::from_secs(30)).retries(RetryPolicy::default()).connect().await?;

    let vectors = mesh.embed("minilm", ["A man is eating food.", "A man is eating a piece of bread."]).await?;
    let likeness: f32 = vectors[0].iter().zip(&vectors[1]).map(|(a, b)| a * b).sum();
    println!("two texts, {} numbers each, alike by {likeness:.2}", vectors[0].len());

    let classes = mesh.classify("spam", ["You have won a prize, click here now!"]).await?;
    println!("{} ({:.2})", classes[0].labels[0].label, classes[0].labels[0].score);

    let mut pieces = mesh.chat("smollm2", "What is the capital of France?").await?;
    while let Some(piece) = pieces.next().await {
        print!("{}", piece?);
        std::io::stdout().flush()?;
    }
    println!();

    let ids = Tensor::from_i64s([1, 4], &[101, 7592, 2088, 102]);
    let mask = Tensor::from_i64s([1, 4], &[1; 4]);
    let outputs = mesh.infer("minilm", [("input_ids", ids), ("attention_mask", mask)]).await?;
    println!("embedding: {:?}", outputs.get("embedding")?.shape);
    Ok(())
}
