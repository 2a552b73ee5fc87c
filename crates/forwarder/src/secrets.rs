//! Secrets of this process: fetched when one is first needed, kept in memory, and fetched again when
//! the domain says so, so that a rotation needs no deployment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::Duration;

use domain::freshness::{CLOCK_SKEW, Fetches, Mismatch};
use domain::secret::{SECRET_BYTES_MAX, Secret, SecretReference, without_secrets};
use domain::time::{Timestamp, Uptime};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::logging::Logger;
use crate::outside::Outside;

/// The secrets of all routes, by where they are.
#[derive(Debug)]
pub(crate) struct Secrets<O> {
    started: Instant,
    kept: BTreeMap<SecretReference, Mutex<Kept>>,
    outside: Arc<O>,
    logger: Logger,
}

/// What is known of one secret.
#[derive(Debug, Default)]
struct Kept {
    secret: Option<Arc<Secret>>,
    fetches: Fetches,
    /// Why the last fetch failed, if it did.
    error: Option<SecretError>,
}

/// A secret that is not to be had. Says where it should be, never what it is.
#[derive(Debug, Clone, thiserror::Error)]
#[error("fetching {reference}: {problem}")]
pub(crate) struct SecretError {
    reference: SecretReference,
    problem: String,
}

/// Those of some secrets that are at hand; at least one.
#[derive(Debug)]
pub(crate) struct AtHand {
    pub(crate) secrets: Vec<Arc<Secret>>,
    /// Why another is not, if one is not.
    pub(crate) missing: Option<SecretError>,
}

/// What a secret must be younger than, for what does not match it to be final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Younger {
    /// The event, accepted at this time, and at any rate before this invocation began.
    Than(Timestamp, Instant),
    /// Anything: the secret is none of its scheme, and somebody may have put that right just now.
    ThanNow,
}

/// What can still come of a signature that does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Nothing.
    None,
    /// Something, since a secret was fetched again just now.
    Fetched,
    /// Something, after this time.
    Wait(Duration),
}

impl<O: Outside> Secrets<O> {
    pub(crate) fn new<'a>(
        references: impl IntoIterator<Item = &'a SecretReference>,
        outside: Arc<O>,
        logger: Logger,
    ) -> Self {
        let kept = references.into_iter().map(|reference| (reference.clone(), Mutex::default()));
        Self { started: Instant::now(), kept: kept.collect(), outside, logger }
    }

    /// The secrets at these places, in their order, without those that are not to be had.
    ///
    /// # Errors
    ///
    /// [`SecretError`] if none is.
    pub(crate) async fn get(
        &self,
        references: &[SecretReference],
        time_left: Duration,
    ) -> Result<AtHand, SecretError> {
        let (mut secrets, mut missing) = (Vec::with_capacity(references.len()), None);
        for reference in references {
            match self.one(reference, time_left).await {
                Ok(secret) => secrets.push(secret),
                Err(error) => missing = Some(error),
            }
        }
        match missing {
            Some(error) if secrets.is_empty() => Err(error),
            missing => Ok(AtHand { secrets, missing }),
        }
    }

    /// The secret at this place.
    pub(crate) async fn one(
        &self,
        reference: &SecretReference,
        time_left: Duration,
    ) -> Result<Arc<Secret>, SecretError> {
        let mut kept = self.kept(reference).await;
        let now = self.uptime();
        if kept.fetches.is_due(now) && kept.fetches.failure_pause(now).is_none() {
            self.fetch(reference, &mut kept, time_left).await;
        }
        // What was good five minutes ago is better than none.
        match (&kept.secret, &kept.error) {
            (Some(secret), _) => Ok(Arc::clone(secret)),
            (None, error) => Err(error.clone().expect("a fetch that failed says why")),
        }
    }

    /// What can still come of it that a signature matches none of these secrets, unless they are
    /// `younger` than that.
    pub(crate) async fn doubt(
        &self,
        references: &[SecretReference],
        younger: Younger,
        time_left: Duration,
    ) -> Doubt {
        let (accepted_at, given) = match younger {
            Younger::Than(accepted_at, began) => (accepted_at, began),
            Younger::ThanNow => (self.wall().minus(CLOCK_SKEW), Instant::now()),
        };
        let given = Uptime::from_start(given.saturating_duration_since(self.started));
        let (mut doubt, mut fetched) = (Doubt::None, false);
        for reference in references {
            // Locked for as long as it is fetched: the groups of a batch need it at the same time.
            let mut kept = self.kept(reference).await;
            match kept.fetches.mismatch(accepted_at, given, self.wall(), self.uptime()) {
                Mismatch::Final => {}
                Mismatch::Fetch => {
                    self.fetch(reference, &mut kept, time_left).await;
                    fetched = true;
                }
                Mismatch::Wait(wait) => {
                    let longest = if let Doubt::Wait(other) = doubt { other } else { wait };
                    doubt = Doubt::Wait(longest.max(wait));
                }
            }
        }
        if fetched { Doubt::Fetched } else { doubt }
    }

    /// `text` without the secrets that this process knows, and without `token`.
    pub(crate) fn hidden_in(&self, text: &str, token: Option<&str>) -> String {
        // One that is being fetched just now is not known yet.
        let known = self.kept.values().filter_map(|kept| kept.try_lock().ok()?.secret.clone());
        let known: Vec<Arc<Secret>> = known.collect();
        let known = known.iter().map(|secret| secret.expose());
        without_secrets(text, known.chain(token.map(str::as_bytes)))
    }

    /// A fault on purpose: what asks for a secret panics.
    #[cfg(test)]
    pub(crate) fn forget_all(&mut self) {
        self.kept.clear();
    }

    fn wall(&self) -> Timestamp {
        self.outside.now()
    }

    fn uptime(&self) -> Uptime {
        Uptime::from_start(self.started.elapsed())
    }

    async fn kept(&self, reference: &SecretReference) -> MutexGuard<'_, Kept> {
        let kept = self.kept.get(reference);
        kept.expect("made for every reference of the configuration").lock().await
    }

    async fn fetch(&self, reference: &SecretReference, kept: &mut Kept, time_left: Duration) {
        // Of the beginning: what changes while it is under way may not be in the answer.
        let (wall, now) = (self.wall(), self.uptime());
        // Rare and large: what waits in it would be part of every delivery's state.
        match Box::pin(self.read(reference, time_left)).await {
            Ok(secret) => {
                kept.fetches.fetched(wall, now);
                kept.error = None;
                kept.secret = Some(Arc::new(secret));
            }
            Err(error) => {
                let stays = if kept.secret.is_some() {
                    "; the one fetched before stays in use"
                } else {
                    ""
                };
                self.logger.error(&*self.outside, &format!("{error}{stays}"));
                kept.fetches.failed(self.uptime());
                kept.error = Some(error);
            }
        }
    }

    async fn read(
        &self,
        reference: &SecretReference,
        time_left: Duration,
    ) -> Result<Secret, SecretError> {
        let bytes = match reference {
            SecretReference::Variable(name) => std::env::var_os(name)
                .map(OsStringExt::into_vec)
                .ok_or_else(|| "the variable is not set".to_owned()),
            SecretReference::File(path) => {
                read(path, SECRET_BYTES_MAX).map_err(|error| error.to_string())
            }
            SecretReference::Parameter(name) => {
                self.outside.parameter(name, time_left).await.map_err(|error| error.to_string())
            }
            SecretReference::SecretsManager(id) => {
                self.outside.secret(id, time_left).await.map_err(|error| error.to_string())
            }
        };
        let secret = bytes.and_then(|bytes| Secret::new(&bytes).map_err(|error| error.to_string()));
        secret.map_err(|problem| SecretError { reference: reference.clone(), problem })
    }
}

/// A small file that is at hand; reading it stops the process for less than a task would cost.
pub(crate) fn read(path: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
    // Anything else, such as a pipe, may keep the process waiting, and every event with it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(io::Error::other(format!("the file is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use domain::config::LogLevel;
    use domain::freshness::FRESH;
    use tokio::time::advance;

    use super::*;
    use crate::network::Network;
    use crate::settings::Settings;

    const NEVER: Duration = Duration::from_mins(1);

    fn secrets(reference: &SecretReference) -> Secrets<Network> {
        let config = r#"{"environment":"test","routes":{"sss":{"path":"/sqs-hook","ordering_key":"g",
            "destinations":[{"name":"sss","url":"http://localhost/"}]}}}"#;
        let settings = Settings::read(|name| {
            Some(if name == "WEBHOOK_QUEUE_CONFIG" { config } else { "x" }.to_owned())
                .filter(|_| !name.starts_with("WEBHOOK_QUEUE_") || name.ends_with("CONFIG"))
                .filter(|_| name != "SSL_CERT_FILE")
        });
        let network = Network::new(&settings.unwrap()).unwrap();
        Secrets::new([reference], Arc::new(network), Logger::new(LogLevel::Error))
    }

    /// A process that only ever gets good signatures notices a withdrawn secret, too; one that cannot
    /// be fetched any more goes on with what it had.
    #[tokio::test(start_paused = true)]
    async fn a_secret_is_fetched_again_after_five_minutes_and_kept_when_that_fails() {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let file = tempfile::NamedTempFile::new().unwrap();
        let reference = SecretReference::parse(&format!("file:{}", file.path().display())).unwrap();
        let secrets = secrets(&reference);
        let current = async || {
            let secret = secrets.one(&reference, NEVER).await.map_err(|error| error.to_string());
            secret.map(|secret| String::from_utf8(secret.expose().to_vec()).unwrap())
        };
        fs::write(file.path(), "first").unwrap();
        assert_eq!(current().await.as_deref(), Ok("first"));
        fs::write(file.path(), "second").unwrap();
        advance(FRESH.saturating_sub(Duration::from_secs(1))).await;
        assert_eq!(current().await.as_deref(), Ok("first"));
        advance(Duration::from_secs(1)).await;
        assert_eq!(current().await.as_deref(), Ok("second"));
        let path = file.path().to_owned();
        drop(file);
        for _ in 0..3 {
            advance(FRESH).await;
            assert_eq!(current().await.as_deref(), Ok("second"));
        }
        fs::write(&path, "third").unwrap();
        advance(FRESH).await;
        assert_eq!(current().await.as_deref(), Ok("third"));
        fs::remove_file(path).unwrap();
    }

    /// The clock was ahead when it was accepted, and is right now: it does not wait until then.
    #[tokio::test(start_paused = true)]
    async fn an_event_of_a_time_to_come_waits_for_one_fetch() {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "secret").unwrap();
        let reference = SecretReference::parse(&format!("file:{}", file.path().display())).unwrap();
        let secrets = secrets(&reference);
        assert!(secrets.one(&reference, NEVER).await.is_ok());
        advance(Duration::from_secs(1)).await;
        let doubt = async |began| {
            let accepted_at = secrets.wall().plus(Duration::from_hours(3));
            let younger = Younger::Than(accepted_at, began);
            secrets.doubt(std::slice::from_ref(&reference), younger, NEVER).await
        };
        assert_eq!(doubt(Instant::now()).await, Doubt::Wait(Duration::from_secs(9)));
        advance(Duration::from_secs(9)).await;
        let began = Instant::now();
        assert_eq!(doubt(began).await, Doubt::Fetched);
        advance(Duration::from_millis(5)).await;
        assert_eq!(doubt(began).await, Doubt::None);
        // Of a later invocation: somebody may have put another secret there meanwhile.
        assert_eq!(doubt(Instant::now()).await, Doubt::Wait(Duration::from_millis(9_995)));
    }

    #[test]
    fn a_file_is_read_up_to_its_greatest_size() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (bytes, is_read) in
            [(0, true), (1_023, true), (1_024, true), (1_025, false), (9_000, false)]
        {
            fs::write(file.path(), "a".repeat(bytes)).unwrap();
            let read = read(file.path().to_str().unwrap(), 1_024);
            assert_eq!(read.map(|read| read.len()).ok(), is_read.then_some(bytes));
        }
    }

    #[test]
    fn what_may_keep_the_process_waiting_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for path in [pipe.as_path(), dir.path()] {
            let error = read(path.to_str().unwrap(), 10).unwrap_err().to_string();
            assert_eq!(error, "it is not a file");
        }
    }

    /// What is not there is asked for again, each time after a longer pause.
    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_not_there_is_not_asked_for_all_the_time() {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let reference = SecretReference::parse(&format!("file:{}", path.display())).unwrap();
        let secrets = secrets(&reference);
        assert!(secrets.one(&reference, NEVER).await.is_err());
        fs::write(&path, "secret").unwrap();
        advance(Duration::from_millis(999)).await;
        let error = secrets.one(&reference, NEVER).await.unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
        advance(Duration::from_millis(1)).await;
        assert!(secrets.one(&reference, NEVER).await.is_ok());
    }
}
