//! The help.

use crate::support::{Done, operator};

#[tokio::test]
async fn help_teaches() {
    for command in ["status", "trace", "blocked", "doctor"] {
        let help: Done = operator(&[command, "--help"]).output().await.unwrap().into();
        assert_eq!(help.code, Some(0));
        insta::assert_snapshot!(format!("{command}_help"), help.stdout);
    }
}
