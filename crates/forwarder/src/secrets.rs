//! Secrets of this process: fetched when one is first needed, kept in memory, and fetched again now and
//! then and when a signature does not match, so that a rotation needs no deployment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::secret::{SECRET_BYTES_MAX, Secret, SecretReference};
use tokio::sync::Mutex;

use crate::aws::AwsSecrets;
use crate::logging::Logger;

/// How long a secret is used unseen: a process that only ever gets good signatures must notice, too,
/// that a secret was withdrawn.
const FRESH: Duration = Duration::from_mins(5);

/// How long a secret that could not be fetched is not asked for again.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Why secrets that are at hand are fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// A signature did not match.
    Mismatch,
    /// One is no secret of the scheme; events wait for a better one.
    Unusable,
}

impl Doubt {
    /// How often this is a reason, at most. Forged messages must not become calls.
    fn pause(self) -> Duration {
        match self {
            Self::Mismatch => Duration::from_mins(1),
            Self::Unusable => FAILURE_PAUSE,
        }
    }
}

/// The secrets of all routes, by where they are.
#[derive(Debug)]
pub(crate) struct Secrets {
    kept: BTreeMap<SecretReference, Mutex<Kept>>,
    aws: Arc<AwsSecrets>,
    logger: Logger,
}

/// What is known of one secret.
#[derive(Debug, Default)]
struct Kept {
    secret: Option<Arc<Secret>>,
    fetched: Option<Instant>,
    refreshed: Option<Instant>,
    failed: Option<(Instant, SecretError)>,
}

/// A secret that is not to be had. Says where it should be, never what it is.
#[derive(Debug, Clone, thiserror::Error)]
#[error("fetching {reference}: {problem}")]
pub(crate) struct SecretError {
    reference: SecretReference,
    problem: String,
}

impl Secrets {
    pub(crate) fn new<'a>(
        references: impl IntoIterator<Item = &'a SecretReference>,
        aws: Arc<AwsSecrets>,
        logger: Logger,
    ) -> Self {
        let kept = references.into_iter().map(|reference| (reference.clone(), Mutex::default()));
        Self { kept: kept.collect(), aws, logger }
    }

    /// The secrets at these places, in their order.
    pub(crate) async fn get(
        &self,
        references: &[SecretReference],
        time_left: Duration,
    ) -> Result<Vec<Arc<Secret>>, SecretError> {
        let mut secrets = Vec::with_capacity(references.len());
        for reference in references {
            secrets.push(self.one(reference, time_left).await?);
        }
        Ok(secrets)
    }

    async fn one(
        &self,
        reference: &SecretReference,
        time_left: Duration,
    ) -> Result<Arc<Secret>, SecretError> {
        // Locked for as long as it is fetched: the groups of a batch need it at the same time.
        let mut kept = self.kept(reference).lock().await;
        let is_fresh = kept.fetched.is_some_and(|at| at.elapsed() < FRESH);
        if let (Some(secret), true) = (&kept.secret, is_fresh) {
            return Ok(Arc::clone(secret));
        }
        if let Some((at, error)) = &kept.failed
            && at.elapsed() < FAILURE_PAUSE
        {
            return kept.secret.clone().ok_or_else(|| error.clone());
        }
        match (self.fetch(reference, time_left).await, &kept.secret) {
            (Ok(fetched), _) => {
                kept.replace(fetched);
                Ok(kept.secret.clone().expect("it was put there"))
            }
            // What was good five minutes ago is better than none.
            (Err(error), Some(secret)) => {
                let secret = Arc::clone(secret);
                self.logger.error(&format!("{error}; the one fetched before stays in use"));
                kept.fetched = Some(Instant::now());
                Ok(secret)
            }
            (Err(error), None) => {
                kept.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// The secrets at these places after those `seen` came into doubt: `None` if they are still the
    /// same, or were fetched for such a reason a short time ago.
    pub(crate) async fn refreshed(
        &self,
        references: &[SecretReference],
        seen: &[Arc<Secret>],
        doubt: Doubt,
        time_left: Duration,
    ) -> Result<Option<Vec<Arc<Secret>>>, SecretError> {
        for (reference, seen) in references.iter().zip(seen) {
            let mut kept = self.kept(reference).lock().await;
            let is_seen = kept.secret.as_ref().is_some_and(|secret| Arc::ptr_eq(secret, seen));
            let is_due = kept.refreshed.is_none_or(|at| at.elapsed() >= doubt.pause());
            if is_seen && is_due {
                let fetched = self.fetch(reference, time_left).await?;
                kept.replace(fetched);
                kept.refreshed = Some(Instant::now());
            }
        }
        let secrets = self.get(references, time_left).await?;
        let changed = secrets.iter().zip(seen).any(|(now, seen)| !Arc::ptr_eq(now, seen));
        Ok(changed.then_some(secrets))
    }

    fn kept(&self, reference: &SecretReference) -> &Mutex<Kept> {
        self.kept.get(reference).expect("made for every reference of the configuration")
    }

    async fn fetch(
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
                self.aws.parameter(name, time_left).await.map_err(|error| error.to_string())
            }
            SecretReference::SecretsManager(id) => {
                self.aws.secret(id, time_left).await.map_err(|error| error.to_string())
            }
        };
        let secret = bytes.and_then(|bytes| Secret::new(&bytes).map_err(|error| error.to_string()));
        secret.map_err(|problem| SecretError { reference: reference.clone(), problem })
    }
}

impl Kept {
    /// Keeps the very same one if it has not changed.
    fn replace(&mut self, fetched: Secret) {
        self.fetched = Some(Instant::now());
        self.failed = None;
        if !self.secret.as_ref().is_some_and(|secret| secret.is(&fetched)) {
            self.secret = Some(Arc::new(fetched));
        }
    }
}

/// A small file that is at hand; reading it stops the process for less than a task would cost.
pub(crate) fn read(path: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(io::Error::other(format!("the file is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}
