//! The help, and the end of a pipe.

use crate::support::{Done, Service, Site, operator};

#[tokio::test]
async fn help_teaches() {
    let of_itself =
        ["status", "trace", "show", "blocked", "refused", "skip", "doctor", "repeat", "find"];
    let of_damaged = ["damaged list", "damaged export", "damaged drop"];
    for command in of_itself.into_iter().chain(of_damaged) {
        let typed: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help: Done = operator(&typed).output().await.unwrap().into();
        assert_eq!(help.code, Some(0));
        insta::assert_snapshot!(format!("{}_help", command.replace(' ', "_")), help.stdout);
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
