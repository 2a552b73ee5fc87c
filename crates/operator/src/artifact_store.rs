//! `store`: the place where artifacts and release records are kept: a bucket, or for the emulator a
//! folder with the same names in it. What is written stays: nothing is ever overwritten.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use deployment::Deployment;
use serde_json::{Value, json};

use crate::sdk;

/// How the names of files begin that are being written.
const UNFINISHED: &str = ".unfinished-";

/// Keep and find artifacts and release records
#[derive(Debug, clap::Subcommand)]
pub(crate) enum StoreCommand {
    /// Keep a file under a key, unless the key is taken already
    Put {
        #[command(flatten)]
        store: StoreArgs,
        /// Name in the store
        key: String,
        /// What is kept
        file: PathBuf,
        /// Content type
        #[arg(long, default_value = "application/octet-stream")]
        content_type: String,
        /// Let other bytes under the same key stand, instead of failing
        #[arg(long)]
        keep: bool,
    },
    /// Copy what is kept under a key into a file
    Get {
        #[command(flatten)]
        store: StoreArgs,
        /// Name in the store
        key: String,
        /// File to write
        file: PathBuf,
    },
    /// Print the JSON documents whose keys begin with a prefix, the newest first
    Read {
        #[command(flatten)]
        store: StoreArgs,
        /// Beginning of the keys, up to and with a slash
        prefix: String,
        /// Leave out those that are under this prefix as well
        #[arg(long, value_name = "PREFIX")]
        without: Option<String>,
        /// How many, at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

/// Which store
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// Bucket
    #[arg(long, value_name = "NAME", required_unless_present = "dir", conflicts_with = "dir")]
    bucket: Option<String>,

    /// Region of the bucket
    #[arg(long, requires = "bucket")]
    region: Option<String>,

    /// Folder instead of a bucket
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// A store, opened.
pub(crate) enum Store {
    Dir(PathBuf),
    Bucket { client: Client, name: String },
}

impl StoreCommand {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Put { store, key, file, content_type, keep } => {
                let bytes =
                    std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
                let store = store.open().await;
                let stored = store.put(&key, &bytes, &content_type).await?;
                if !stored && !keep && store.get(&key).await? != bytes {
                    bail!("{key} in {store} holds other bytes, and nothing is overwritten there");
                }
                println!("{}", json!({ "key": key, "stored": stored }));
            }
            Self::Get { store, key, file } => {
                let bytes = store.open().await.get(&key).await?;
                std::fs::write(&file, bytes)
                    .with_context(|| format!("writing {}", file.display()))?;
            }
            Self::Read { store, prefix, without, limit } => {
                let store = store.open().await;
                let mut keys = store.keys(&prefix).await?;
                if let Some(without) = without {
                    store.leave_out(&without, &prefix, &mut keys).await?;
                }
                keys.sort_unstable_by(|a, b| b.cmp(a));
                let mut documents = Vec::new();
                for key in keys.into_iter().take(limit) {
                    let document: Value = serde_json::from_slice(&store.get(&key).await?)
                        .with_context(|| format!("reading {key} in {store}"))?;
                    documents.push(json!({ "key": key, "document": document }));
                }
                println!("{}", Value::from(documents));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl StoreArgs {
    async fn open(self) -> Store {
        match self {
            Self { dir: Some(dir), .. } => Store::Dir(dir),
            Self { bucket, region, .. } => Store::Bucket {
                client: Client::new(&sdk::config(region.as_deref()).await),
                name: bucket.unwrap_or_default(),
            },
        }
    }
}

impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dir(dir) => write!(f, "{}", dir.display()),
            Self::Bucket { name, .. } => write!(f, "bucket {name}"),
        }
    }
}

impl Store {
    /// Where an environment's releases are kept; `None` if its configuration names no bucket.
    pub(crate) fn of_releases(sdk: &SdkConfig, deployment: &Deployment) -> Option<Self> {
        if deployment.config.environment() == "local" {
            return Some(Self::Dir(PathBuf::from(".webhook-queue/deploy-local/bucket")));
        }
        let name = deployment.aws.as_ref()?.artifact_bucket.clone()?;
        Some(Self::Bucket { client: Client::new(sdk), name })
    }

    /// The newest of the documents whose keys begin with a prefix, and its key.
    pub(crate) async fn newest(&self, prefix: &str) -> anyhow::Result<Option<(String, Value)>> {
        let Some(key) = self.keys(prefix).await?.into_iter().max() else { return Ok(None) };
        let document = serde_json::from_slice(&self.get(&key).await?)
            .with_context(|| format!("reading {key} in {self}"))?;
        Ok(Some((key, document)))
    }

    /// Leaves out the keys under `prefix` that are under `without` as well.
    async fn leave_out(
        &self,
        without: &str,
        prefix: &str,
        keys: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let others = self.keys(without).await?;
        let names: HashSet<&str> =
            others.iter().filter_map(|key| key.strip_prefix(without)).collect();
        keys.retain(|key| key.strip_prefix(prefix).is_none_or(|name| !names.contains(name)));
        Ok(())
    }

    /// Writes `bytes` and says so, or says that the key is taken. What is there is not even tried to be
    /// written: to bring an artifact to where it is, no right to write is needed.
    async fn put(&self, key: &str, bytes: &[u8], content_type: &str) -> anyhow::Result<bool> {
        if self.has(key).await? {
            return Ok(false);
        }
        let (client, bucket) = match self {
            Self::Dir(dir) => {
                return put_file(&dir.join(key), bytes)
                    .with_context(|| format!("writing {key} into {self}"));
            }
            Self::Bucket { client, name } => (client, name),
        };
        let put = client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type(content_type)
            .if_none_match("*")
            .body(ByteStream::from(bytes.to_vec()))
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            // Source: S3 API reference, `PutObject`, "If-None-Match".
            Err(error) if error.raw_response().is_some_and(|it| it.status().as_u16() == 412) => {
                Ok(false)
            }
            Err(error) => Err(sdk::failed(&format!("writing {key} into {self}"), error)),
        }
    }

    async fn has(&self, key: &str) -> anyhow::Result<bool> {
        let (client, bucket) = match self {
            Self::Dir(dir) => return Ok(dir.join(key).exists()),
            Self::Bucket { client, name } => (client, name),
        };
        // By listing: who may list this prefix only is answered 403 for an object that is not there.
        // Source: S3 API reference, `HeadObject`, "Permissions".
        let listed = client.list_objects_v2().bucket(bucket).prefix(key).max_keys(1).send().await;
        let listed =
            listed.map_err(|error| sdk::failed(&format!("looking for {key} in {self}"), error))?;
        Ok(listed.contents().iter().any(|object| object.key() == Some(key)))
    }

    async fn get(&self, key: &str) -> anyhow::Result<Vec<u8>> {
        let (client, bucket) = match self {
            Self::Dir(dir) => {
                return std::fs::read(dir.join(key)).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => anyhow!("there is no {key} in {self}"),
                    _ => anyhow!("reading {key} in {self}: {error}"),
                });
            }
            Self::Bucket { client, name } => (client, name),
        };
        let object = client.get_object().bucket(bucket).key(key).send().await;
        let object = object.map_err(|error| {
            if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) {
                return anyhow!("there is no {key} in {self}");
            }
            sdk::failed(&format!("reading {key} in {self}"), error)
        })?;
        let bytes = object.body.collect().await;
        Ok(bytes.with_context(|| format!("reading {key} in {self}"))?.to_vec())
    }

    async fn keys(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let (client, bucket) = match self {
            Self::Dir(dir) => {
                return files(&dir.join(prefix), prefix)
                    .with_context(|| format!("looking into {prefix} in {self}"));
            }
            Self::Bucket { client, name } => (client, name),
        };
        let mut pages =
            client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page
                .map_err(|error| sdk::failed(&format!("looking into {prefix} in {self}"), error))?;
            keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|it| it.key));
        }
        Ok(keys)
    }
}

/// Writes a file whole or not at all, and never over another.
fn put_file(path: &Path, bytes: &[u8]) -> std::io::Result<bool> {
    let dir = path.parent().ok_or(ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(dir)?;
    let unfinished = dir.join(format!("{UNFINISHED}{}", std::process::id()));
    std::fs::write(&unfinished, bytes)?;
    let linked = std::fs::hard_link(&unfinished, path);
    std::fs::remove_file(&unfinished)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn files(dir: &Path, prefix: &str) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(format!("{prefix}{}", entry?.file_name().to_string_lossy()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::Dir(dir.path().to_owned());
        assert!(store.put("artifacts/a.zip", b"one", "").await.unwrap());
        assert!(!store.put("artifacts/a.zip", b"two", "").await.unwrap());
        assert_eq!(store.get("artifacts/a.zip").await.unwrap(), b"one");
        assert_eq!(store.keys("artifacts/").await.unwrap(), ["artifacts/a.zip"]);
    }

    #[tokio::test]
    async fn what_has_its_counterpart_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::Dir(dir.path().to_owned());
        for key in ["deployments/dev/1.json", "deployments/dev/2.json", "releases/dev/1.json"] {
            store.put(key, b"{}", "").await.unwrap();
        }
        let mut keys = store.keys("deployments/dev/").await.unwrap();
        store.leave_out("releases/dev/", "deployments/dev/", &mut keys).await.unwrap();
        assert_eq!(keys, ["deployments/dev/2.json"]);
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::Dir(dir.path().to_owned());
        assert!(store.keys("releases/dev/").await.unwrap().is_empty());
        let error = store.get("artifacts/a.zip").await.unwrap_err().to_string();
        assert!(error.starts_with("there is no artifacts/a.zip in /"), "{error}");
    }
}
