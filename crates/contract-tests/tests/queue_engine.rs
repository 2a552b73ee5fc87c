//! The queue's contract on the engine, in memory and on disk.

use contract_tests::queue::client::Queues;
use contract_tests::queue::{differences, engine, run};

async fn check(queues: &Queues) {
    let findings = run(queues).await;
    let surprises = findings.surprises(differences::ENGINE);
    assert!(surprises.is_empty(), "not like SQS:\n{}", surprises.join("\n"));
    println!("{} findings, all like SQS", findings.count());
}

#[tokio::test]
async fn the_engine_in_memory_is_like_sqs() {
    check(&engine::in_memory().await).await;
}

#[tokio::test]
async fn the_engine_on_disk_is_like_sqs() {
    let dir = tempfile::tempdir().unwrap();
    check(&engine::in_directory(dir.path()).await).await;
}
