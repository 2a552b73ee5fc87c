//! The engine's queues, in this process.

use std::path::Path;
use std::sync::Arc;

use engine::clock::SystemClock;
use engine::store::Store;
use tokio::net::TcpListener;

use super::client::Queues;

/// Serves queues that are gone afterwards.
///
/// # Panics
///
/// When they cannot be served.
pub async fn in_memory() -> Queues {
    let store = Store::in_memory(Arc::new(SystemClock::new())).expect("memory can be had");
    serve(store).await
}

/// Serves the queues of a data directory.
///
/// # Panics
///
/// When they cannot be served.
pub async fn in_directory(dir: &Path) -> Queues {
    let store = Store::open(dir, Arc::new(SystemClock::new())).expect("the directory is new");
    serve(store).await
}

async fn serve(store: Store) -> Queues {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    tokio::spawn(async move { axum::serve(listener, engine::sqs::router(store)).await });
    Queues::at(&format!("http://{address}"))
}
