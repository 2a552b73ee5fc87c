//! Ctrl-C, from the first wait for it on: one that comes between two waits ends the second.

use std::sync::OnceLock;

use tokio::sync::watch;

/// Ctrl-C ended it.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// Ends with the first Ctrl-C since this was first called, and from then on at once.
pub(crate) async fn interrupted() {
    static SEEN: OnceLock<watch::Receiver<bool>> = OnceLock::new();
    let mut seen = SEEN
        .get_or_init(|| {
            let (sender, seen) = watch::channel(false);
            tokio::spawn(async move {
                // Should it fail, nothing could be interrupted any more: ends then, too.
                let _done = tokio::signal::ctrl_c().await;
                sender.send_replace(true);
                eprintln!("stopping, once what is under way has ended");
            });
            seen
        })
        .clone();
    // A sender that is gone has sent.
    let _gone = seen.wait_for(|seen| *seen).await;
}

/// What comes of `work`, unless Ctrl-C ends it before.
///
/// # Errors
///
/// `Interrupted`, or what `work` fails with.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        () = interrupted() => Err(Interrupted.into()),
        done = work => done,
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    /// A task of its own registers the signal: it has run once the others have.
    #[tokio::test]
    async fn one_that_comes_between_two_waits_is_not_missed() {
        let nothing_yet = async {
            tokio::task::yield_now().await;
            Ok(())
        };
        unless_interrupted(nothing_yet).await.unwrap();
        kill_process(getpid(), Signal::INT).unwrap();
        interrupted().await;
        let work = unless_interrupted(std::future::pending::<anyhow::Result<()>>()).await;
        assert!(work.unwrap_err().is::<Interrupted>());
    }
}
