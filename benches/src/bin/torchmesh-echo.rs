//! Answers any unary gRPC call with the same small `ModelInferResponse`: the upstream behind the proxies that are measured.

use std::{io, net::SocketAddr};

use clap::Parser;
use tokio::net::TcpListener;
use torchmesh_benches::echo::{self, Answers};

/// A trivial gRPC upstream on h2c, one thread.
#[derive(Parser)]
#[command(name = "torchmesh-echo", version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one. The address is printed on standard output.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The one model that it says it has.
    #[arg(long, default_value = "noop")]
    model: String,
    /// Floats in the output tensor of each answer.
    #[arg(long, default_value_t = 16)]
    floats: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    echo::serve(listener, Answers::new(&arguments.model, arguments.floats)).await
}
