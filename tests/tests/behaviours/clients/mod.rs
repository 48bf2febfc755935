//! The doors of the gateway, and the clients that people have.

mod browsers;
mod embeddings;
mod meshctl_senses;
mod offered_tls;
mod openai_http;
mod openapi;
mod python_clients;
mod quickstarts;
mod rest_v2;
mod rust_client;
mod secured;
mod senses;
mod through_tls;
