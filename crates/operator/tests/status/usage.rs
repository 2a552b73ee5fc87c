//! The help, and the end of a pipe.

use crate::support::{Done, Service, Site, operator};

#[tokio::test]
async fn help_teaches() {
    for command in
        ["status", "trace", "show", "blocked", "refused", "skip", "doctor", "repeat", "find"]
    {
        let help: Done = operator(&[command, "--help"]).output().await.unwrap().into();
        assert_eq!(help.code, Some(0));
        insta::assert_snapshot!(format!("{command}_help"), help.stdout);
    }
}

#[tokio::test]
async fn who_reads_the_beginning_only_is_no_failure() {
    let address = Service::nowhere().await;
    let site = Site::start(&format!("http://{address}")).await;
    let mut status = site.start_command(&["status", "local"]);
    drop(status.stdout.take());
    let ended = status.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}
