//! A small document that operators share and change: in the engine's place on AWS. An object of the
//! artifact bucket, each change on the condition that nobody else's came in between; for an emulator, a
//! file beside the folder that stands in for the bucket.
//!
//! What counts as now is the store's own time, which comes with each look: this machine's is compared
//! with nobody's.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use domain::time::Timestamp;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use crate::answered_at::AnsweredAt;
use crate::environment::{Environment, Host};
use crate::sdk;

/// How often a change is tried that somebody else's comes before.
const TRIES: usize = 20;

/// Where a document is kept.
#[derive(Debug)]
pub(crate) struct Document {
    place: Place,
    key: String,
}

#[derive(Debug)]
enum Place {
    Dir(PathBuf),
    Bucket { client: Client, name: String },
}

/// A document at one moment.
#[derive(Debug)]
pub(crate) struct Look {
    /// `None` where there is none.
    pub(crate) content: Option<Vec<u8>>,
    /// Tells this content from any other.
    version: Option<String>,
    /// By the store's clock.
    pub(crate) now: Timestamp,
}

impl Look {
    /// Whether nobody has changed it between these looks.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

impl Document {
    /// The document of an environment on AWS by this name.
    pub(crate) fn of(environment: &Environment, name: &str) -> anyhow::Result<Self> {
        let Host::Aws { sdk, deployment } = &environment.host else {
            bail!("an engine keeps its {name} itself");
        };
        let key = key(&environment.name, name);
        let bucket = deployment.aws.as_ref().and_then(|aws| aws.artifact_bucket.clone());
        let place = if let Some(name) = bucket {
            Place::Bucket { client: Client::new(sdk), name }
        } else {
            let dir = Path::new(".webhook-queue").join(format!("deploy-{}", environment.name));
            Place::Dir(dir.join("bucket"))
        };
        Ok(Self { place, key })
    }

    #[cfg(test)]
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self { place: Place::Dir(dir.to_owned()), key: key("test", "document") }
    }

    /// What it is now.
    pub(crate) async fn look(&self) -> anyhow::Result<Look> {
        let looked = match &self.place {
            Place::Dir(dir) => look_at_file(&dir.join(&self.key)),
            Place::Bucket { client, name } => look_at_object(client, name, &self.key).await,
        };
        looked.with_context(|| format!("looking at {}", self.key))
    }

    /// Puts `content` in the place of what was looked at; tells whether it did, or somebody else's
    /// change came before.
    pub(crate) async fn change(&self, from: &Look, content: Vec<u8>) -> anyhow::Result<bool> {
        let changed = match &self.place {
            Place::Dir(dir) => change_file(&dir.join(&self.key), from, &content),
            Place::Bucket { client, name } => {
                change_object(client, name, &self.key, from, content).await
            }
        };
        changed.with_context(|| format!("changing {}", self.key))
    }

    /// Changes it from whatever it is to what `change` gives, again if somebody else's change comes in
    /// between. What `change` leaves as `None` stays as it is.
    pub(crate) async fn update<T>(
        &self,
        mut change: impl FnMut(&Look) -> anyhow::Result<(Option<Vec<u8>>, T)>,
    ) -> anyhow::Result<T> {
        for _ in 0..TRIES {
            let look = self.look().await?;
            let (content, value) = change(&look)?;
            let Some(content) = content else { return Ok(value) };
            if self.change(&look, content).await? {
                return Ok(value);
            }
        }
        bail!("somebody else changes {} all the time; nothing was changed, so try again", self.key)
    }
}

/// The documents that there are: the pauses, and the lease of a redrive.
pub(crate) const DOCUMENTS: [&str; 2] = [PAUSES, REDRIVE];
pub(crate) const PAUSES: &str = "pauses";
pub(crate) const REDRIVE: &str = "redrive";

/// Where the document of this name is in the bucket, which `modules/bootstrap` lets operators write.
pub(crate) fn key(environment: &str, name: &str) -> String {
    format!("operating/{environment}/{name}.json")
}

/// By listing first: who may list this prefix only is answered 403 for an object that is not there.
/// Source: S3 API reference, `GetObject`, "Permissions".
async fn look_at_object(client: &Client, bucket: &str, key: &str) -> anyhow::Result<Look> {
    let answered_at = AnsweredAt::default();
    let listed = client
        .list_objects_v2()
        .bucket(bucket)
        .prefix(key)
        .max_keys(1)
        .customize()
        .interceptor(answered_at.clone())
        .send()
        .await
        .map_err(|error| sdk::failed(&format!("looking into bucket {bucket}"), error))?;
    let now = answered_at.take();
    let now = now.with_context(|| format!("bucket {bucket} does not say what time it is"))?;
    if !listed.contents().iter().any(|object| object.key() == Some(key)) {
        return Ok(Look { content: None, version: None, now });
    }
    let object = client.get_object().bucket(bucket).key(key).send().await;
    let object =
        object.map_err(|error| sdk::failed(&format!("reading it from bucket {bucket}"), error))?;
    let version = object.e_tag.clone().context("S3 gives no ETag")?;
    let content = object.body.collect().await.context("reading it")?.to_vec();
    Ok(Look { content: Some(content), version: Some(version), now })
}

/// Source: S3 user guide, "How to prevent object overwrites with conditional writes": 412 where somebody
/// else's write came before, 409 where it came at the same time, 404 where the object was deleted.
async fn change_object(
    client: &Client,
    bucket: &str,
    key: &str,
    from: &Look,
    content: Vec<u8>,
) -> anyhow::Result<bool> {
    let put = client.put_object().bucket(bucket).key(key).content_type("application/json");
    let put = match &from.version {
        Some(version) => put.if_match(version),
        None => put.if_none_match("*"),
    };
    match put.body(ByteStream::from(content)).send().await {
        Ok(_put) => Ok(true),
        Err(error)
            if error
                .raw_response()
                .is_some_and(|it| matches!(it.status().as_u16(), 404 | 409 | 412)) =>
        {
            Ok(false)
        }
        Err(error) => Err(sdk::failed(&format!("writing it into bucket {bucket}"), error)),
    }
}

fn look_at_file(file: &Path) -> anyhow::Result<Look> {
    let content = match std::fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        content => Some(content?),
    };
    let version = content.as_ref().map(|content| BASE64_STANDARD.encode(Sha256::digest(content)));
    Ok(Look { content, version, now: SystemTime::now().into() })
}

fn change_file(file: &Path, from: &Look, content: &[u8]) -> anyhow::Result<bool> {
    let dir = file.parent().context("its folder")?;
    std::fs::create_dir_all(dir)?;
    let lock = File::options().create(true).append(true).open(file.with_extension("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if !look_at_file(file)?.is_same(from) {
        return Ok(false);
    }
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    std::io::Write::write_all(&mut new, content)?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(true)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use axum::body::Body;
    use axum::extract::State;
    use axum::http::{HeaderMap, Method, Response, Uri};
    use axum::routing::any;

    use super::*;

    const KEY: &str = "operating/test/document.json";

    /// Version and content of the only object of a bucket.
    type Object = Arc<Mutex<Option<(u32, Vec<u8>)>>>;

    /// Whether the next write is answered with an error although it was carried out.
    type LosesAnswer = Arc<AtomicBool>;

    /// As much of S3 as is asked here. It is an hour and more ahead of this machine.
    /// Source: S3 API reference, `ListObjectsV2`, `GetObject`, `PutObject`.
    async fn s3(
        State((object, loses_answer)): State<(Object, LosesAnswer)>,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: axum::body::Bytes,
    ) -> Response<Body> {
        let mut object = object.lock().unwrap();
        let e_tag = object.as_ref().map(|(version, _)| format!("\"{version}\""));
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let mut answer = Response::builder().header("date", "Thu, 26 Nov 2099 10:00:00 GMT");
        if method == Method::PUT {
            assert_eq!(uri.path(), format!("/bucket/{KEY}"));
            let (is_match, none_match) = (header("if-match"), header("if-none-match"));
            assert!(is_match.is_some() != none_match.is_some(), "{headers:?}");
            if is_match != e_tag || none_match.is_some_and(|_any| object.is_some()) {
                return answer.status(412).body(Body::empty()).unwrap();
            }
            let version = object.as_ref().map_or(1, |(version, _)| version + 1);
            *object = Some((version, body.to_vec()));
            if loses_answer.swap(false, Ordering::Relaxed) {
                return answer.status(503).body(Body::empty()).unwrap();
            }
            return answer.body(Body::empty()).unwrap();
        }
        if uri.path() == format!("/bucket/{KEY}") {
            let (_, content) = object.clone().unwrap();
            answer = answer.header("etag", e_tag.unwrap());
            return answer.body(content.into()).unwrap();
        }
        let contents = e_tag.map(|_| format!("<Contents><Key>{KEY}</Key></Contents>"));
        let list = format!(
            "<ListBucketResult><Name>bucket</Name>{}</ListBucketResult>",
            contents.unwrap_or_default()
        );
        answer.header("content-type", "application/xml").body(list.into()).unwrap()
    }

    async fn in_bucket() -> Document {
        document(LosesAnswer::default()).await
    }

    /// The first write is carried out, and its answer does not arrive.
    pub(crate) async fn in_bucket_that_loses_an_answer() -> Document {
        document(Arc::new(AtomicBool::new(true))).await
    }

    async fn document(loses_answer: LosesAnswer) -> Document {
        let app = axum::Router::new().fallback(any(s3));
        let app = app.with_state((Object::default(), loses_answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("a", "b", None, None, "test"))
            .endpoint_url(endpoint)
            .force_path_style(true)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let client = Client::from_conf(config);
        Document { place: Place::Bucket { client, name: "bucket".to_owned() }, key: KEY.to_owned() }
    }

    #[tokio::test]
    async fn in_a_bucket_a_change_counts_only_if_nobody_s_came_before_and_s3_says_what_time_it_is()
    {
        let document = in_bucket().await;
        let (a, b) = (document.look().await.unwrap(), document.look().await.unwrap());
        assert!(a.content.is_none());
        assert_eq!(a.now.to_string(), "2099-11-26T10:00:00.000Z");
        assert!(document.change(&a, b"1".to_vec()).await.unwrap());
        assert!(!document.change(&b, b"2".to_vec()).await.unwrap());
        let (a, b) = (document.look().await.unwrap(), document.look().await.unwrap());
        assert_eq!(a.content.as_deref(), Some(&b"1"[..]));
        assert!(document.change(&a, b"3".to_vec()).await.unwrap());
        assert!(!document.change(&b, b"4".to_vec()).await.unwrap());
        assert_eq!(document.look().await.unwrap().content.as_deref(), Some(&b"3"[..]));
    }

    #[tokio::test]
    async fn a_change_counts_only_if_nobody_s_came_before() {
        let dir = tempfile::tempdir().unwrap();
        let document = Document::in_dir(dir.path());
        let (a, b) = (document.look().await.unwrap(), document.look().await.unwrap());
        assert!(a.content.is_none() && a.is_same(&b));
        assert!(document.change(&a, b"1".to_vec()).await.unwrap());
        assert!(!document.change(&b, b"2".to_vec()).await.unwrap());
        let now = document.look().await.unwrap();
        assert_eq!(now.content.as_deref(), Some(&b"1"[..]));
        assert!(!now.is_same(&a) && document.change(&now, b"3".to_vec()).await.unwrap());
    }

    #[tokio::test]
    async fn of_two_that_count_up_at_once_both_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let document = Document::in_dir(dir.path());
        let number = |look: &Look| -> u32 {
            let content = look.content.as_deref().unwrap_or(b"0");
            std::str::from_utf8(content).unwrap().parse().unwrap()
        };
        for expected in 1..=3 {
            // Somebody else's change comes between each look and the change from it.
            let mut others = true;
            let counted = document.update(|look| {
                let next = number(look) + 1;
                if std::mem::take(&mut others) {
                    let file = dir.path().join(KEY);
                    change_file(&file, look, next.to_string().as_bytes())?;
                }
                Ok((Some((number(look) + 1).to_string().into_bytes()), next))
            });
            assert_eq!(counted.await.unwrap(), expected * 2);
        }
        let kept = document.update(|look| Ok((None, number(look)))).await.unwrap();
        assert_eq!(kept, 6);
    }
}
