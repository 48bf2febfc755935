//! Calls a torchmesh from Rust.
//!
//! A [`Client`] has typed clients of every service over one balanced channel, and a method for each first call:
//!
//! ```no_run
//! use torchmesh_client::Client;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mesh = Client::builder("http://127.0.0.1:8080").api_key(std::fs::read_to_string(".torchmesh/dev.key")?).connect().await?;
//!     println!("{:?}", mesh.embed("minilm", ["A man is eating food."]).await?);
//!     Ok(())
//! }
//! ```
//!
//! What every call needs is in three tower layers, which stand around any tonic channel just as well:
//!
//! | layer | |
//! |---|---|
//! | [`DeadlineLayer`] | one time for a call over all its tries, told to the server, kept here too |
//! | [`RetryLayer`] | sends again what nobody has answered, within a budget |
//! | [`AuthLayer`] | an API key, or tokens that are renewed before they end |
//!
//! ```no_run
//! use std::time::Duration;
//! use tonic::transport::Endpoint;
//! use torchmesh_client::{AuthLayer, DeadlineLayer, RetryLayer, RetryPolicy};
//! use tower::Layer as _;
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let channel = Endpoint::from_static("http://127.0.0.1:8080").connect_lazy();
//! let channel = AuthLayer::api_key("tm_…")?.layer(channel);
//! let channel = RetryLayer::new(RetryPolicy::default()).layer(channel);
//! let channel = DeadlineLayer::new(Duration::from_secs(5)).layer(channel);
//! let mut texts = torchmesh_client::text::v1::text_service_client::TextServiceClient::new(channel);
//! # Ok(())
//! # }
//! ```
//!
//! Dropping the future of a call drops all of it: its tries, its waits, and the work on the server.

mod auth;
mod balance;
mod builder;
mod chat;
mod client;
mod connection;
mod deadline;
mod error;
mod failure;
mod origin;
mod outgoing;
mod retry;
mod tensors;

use std::{future::Future, pin::Pin};

pub use auth::{Auth, AuthLayer, BadToken, CachedTokens, ClientCredentials, FetchToken, Lease, Token, TokenSource};
pub use balance::{Balance, Counted};
pub use builder::Builder;
pub use chat::{Chat, Pieces};
pub use client::{Client, MeshChannel};
pub use deadline::{Deadline, DeadlineLayer, Timed};
pub use error::ConnectError;
pub use retry::{Begun, Retry, RetryLayer, RetryPolicy};
pub use tensors::Outputs;
pub use tonic::{Code, Status};
pub use torchmesh_api::{
    audio, inference,
    tensor::{Datatype, Tensor},
    text, vision,
};

/// Any error of a service beneath a layer.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A future of a [`TokenSource`] or of a layer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
