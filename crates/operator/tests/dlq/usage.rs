//! What is refused before anything is done, and the help.

use crate::support::run;

#[tokio::test]
async fn help_teaches() {
    for command in
        ["list", "stats", "issues", "show", "redrive", "edit", "export", "import", "drop", "log"]
    {
        let help = run(&["dlq", command, "--help"]).await;
        assert_eq!(help.code, Some(0));
        insta::assert_snapshot!(format!("{command}_help"), help.stdout);
    }
}

#[tokio::test]
async fn redrive_does_nothing_unless_told_what() {
    let refused = run(&["dlq", "redrive", "local"]).await;
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--all"), "{}", refused.stderr);
    let refused = run(&["dlq", "redrive", "local", "event-1", "--all"]).await;
    assert_eq!(refused.code, Some(2));
}

#[tokio::test]
async fn without_an_engine_it_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let failed = run(&["dlq", "list", "local", "--data-dir", dir]).await;
    assert_eq!(failed.code, Some(3));
    assert_eq!(
        failed.stderr,
        format!(
            "error: no engine is running in {dir}; start it as it is started on this machine, such as by `systemctl start webhook-queue`\n"
        )
    );
}

#[tokio::test]
async fn an_environment_without_a_configuration_is_named() {
    let failed = run(&["dlq", "list", "nowhere"]).await;
    assert_eq!(failed.code, Some(2));
    assert!(
        failed.stderr.contains("environments/nowhere/terraform.tfvars.json"),
        "{}",
        failed.stderr
    );
}
