//! Who may use the API. That a caller comes from this machine says little: every user of it does, and so
//! does a page in a browser. So callers show what only those know who can read the data directory.
//!
//! What is asked for is an access key id, as every client of SQS sends one. It is a secret here; the
//! signature that goes with it is not looked at.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use domain::secret::Secret;
use serde_json::json;
use uuid::Uuid;

use crate::files::{read_if_there, write_durably};

/// Name of the file in the data directory that keeps the id, so that clients outlive restarts.
const FILE: &str = "access-key-id";

/// What may be looked at from this machine without an id: it changes nothing, and names no event.
const OPEN_PATHS: [&str; 4] =
    ["/metrics", "/_engine/health", "/_engine/status", "/_engine/history"];

/// What callers of the API have to show.
#[derive(Debug)]
pub(crate) struct Access {
    id: String,
    secret: Secret,
    /// Names that the API is called by, besides `localhost`.
    names: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The name that a browser was led here by may be anybody's: DNS rebinding.
    #[error(
        "the API is called by an address or as localhost, or by a name that --api-host has told it"
    )]
    Host,
    /// It comes from a page of a browser.
    #[error("the API is not for pages of other sites")]
    OtherSite,
    /// It does not show the id.
    #[error(
        "the access key id is not this engine's, which is `access_key_id` in engine.json of its data \
         directory; whoever may read that sends it as AWS_ACCESS_KEY_ID or as `authorization: Bearer`"
    )]
    Credential,
}

impl Access {
    /// The id that is kept in `data_dir`, or a new one, which is kept there.
    pub(crate) fn open(data_dir: Option<&Path>, names: Vec<String>) -> io::Result<Self> {
        let file = data_dir.map(|dir| dir.join(FILE));
        let kept = file.as_deref().map(read_if_there).transpose()?.flatten();
        let kept = kept.and_then(|it| String::from_utf8(it).ok());
        let id = match kept.as_deref().map(str::trim) {
            Some(id) if is_id(id) => id.to_owned(),
            _ => {
                let id = format!("WQ{:X}", Uuid::new_v4().simple());
                if let Some(file) = &file {
                    write_durably(file, format!("{id}\n").as_bytes())?;
                }
                id
            }
        };
        let secret = Secret::new(id.as_bytes()).map_err(io::Error::other)?;
        Ok(Self { id, secret, names })
    }

    /// The id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether a request of `peer` may go on.
    pub(crate) fn check<B>(&self, peer: SocketAddr, request: &Request<B>) -> Result<(), Refusal> {
        let headers = request.headers();
        if !self.is_called_by_name(headers) {
            return Err(Refusal::Host);
        }
        if is_of_other_site(headers) {
            return Err(Refusal::OtherSite);
        }
        let looks = request.method() == Method::GET && OPEN_PATHS.contains(&request.uri().path());
        if (looks && peer.ip().to_canonical().is_loopback()) || self.is_shown(headers) {
            return Ok(());
        }
        Err(Refusal::Credential)
    }

    fn is_called_by_name(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let Some(url) = host.to_str().ok().and_then(|it| format!("http://{it}").parse().ok())
        else {
            return false;
        };
        let url: url::Url = url;
        match url.host() {
            Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => true,
            Some(url::Host::Domain(name)) => {
                name == "localhost" || self.names.iter().any(|it| it.eq_ignore_ascii_case(name))
            }
            None => false,
        }
    }

    /// As `Credential=ID/…` of a signature of AWS, or as a bearer token.
    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter().filter_map(|it| it.to_str().ok());
        values.any(|value| {
            let id = match value.split_once("Credential=") {
                Some((_, credential)) => credential.split('/').next(),
                None => value.strip_prefix("Bearer "),
            };
            let shown = id.and_then(|id| Secret::new(id.trim().as_bytes()).ok());
            shown.is_some_and(|shown| self.secret.is(&shown))
        })
    }
}

/// Whether a browser says that a page asks. Source: Fetch Metadata Request Headers, "Sec-Fetch-Site".
fn is_of_other_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    headers.contains_key(ORIGIN) || site.is_some_and(|site| site != "none" && site != "same-origin")
}

fn is_id(text: &str) -> bool {
    text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Refusal {
    /// As SQS answers, which its clients understand.
    pub(crate) fn response(self) -> Response {
        let kind = if self == Self::Credential { "InvalidClientTokenId" } else { "AccessDenied" };
        let body = json!({ "__type": kind, "message": self.to_string() });
        Response::builder()
            .status(StatusCode::FORBIDDEN)
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .body(Body::from(body.to_string()))
            .expect("a status and a fixed header")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().method("GET").uri(path);
        let add = |builder: axum::http::request::Builder, (name, value): &(&str, &str)| {
            builder.header(*name, *value)
        };
        headers.iter().fold(builder, add).body(()).unwrap()
    }

    fn access() -> Access {
        Access::open(None, vec!["queue".to_owned()]).unwrap()
    }

    fn local() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 50_000))
    }

    #[test]
    fn a_rebound_name_is_refused_whatever_is_asked() {
        let access = access();
        let shown = format!("Bearer {}", access.id());
        for (host, good) in [
            ("127.0.0.1:9324", true),
            ("[::1]:9324", true),
            ("192.0.2.7", true),
            ("localhost:9324", true),
            ("LOCALHOST", true),
            ("queue:9324", true),
            ("evil.example.com:9324", false),
            ("localhost.evil.example.com", false),
            ("127.0.0.1.nip.io", false),
            ("", false),
            ("a b", false),
        ] {
            let expected = if good { Ok(()) } else { Err(Refusal::Host) };
            for path in ["/", "/metrics", "/_engine/status"] {
                let request = request(path, &[("host", host), ("authorization", &shown)]);
                assert_eq!(access.check(local(), &request), expected, "{host} {path}");
            }
        }
        let twice = request("/metrics", &[("host", "localhost"), ("host", "localhost")]);
        assert_eq!(access.check(local(), &twice), Err(Refusal::Host));
        assert_eq!(access.check(local(), &request("/metrics", &[])), Err(Refusal::Host));
    }

    #[test]
    fn a_page_of_another_site_is_refused_whatever_it_knows() {
        let access = access();
        let shown = format!("Bearer {}", access.id());
        for (header, good) in [
            (("origin", "https://evil.example.com"), false),
            (("origin", "null"), false),
            (("sec-fetch-site", "cross-site"), false),
            (("sec-fetch-site", "same-site"), false),
            (("sec-fetch-site", "none"), true),
            (("sec-fetch-site", "same-origin"), true),
        ] {
            let headers = [("host", "localhost"), ("authorization", shown.as_str()), header];
            let expected = if good { Ok(()) } else { Err(Refusal::OtherSite) };
            for path in ["/", "/_engine/status"] {
                assert_eq!(access.check(local(), &request(path, &headers)), expected, "{header:?}");
            }
        }
    }

    #[test]
    fn only_looking_needs_no_id_and_only_from_this_machine() {
        let access = access();
        let host = ("host", "localhost");
        let elsewhere = SocketAddr::from(([192, 0, 2, 7], 50_000));
        for path in OPEN_PATHS {
            assert_eq!(access.check(local(), &request(path, &[host])), Ok(()));
            let mapped = "[::ffff:127.0.0.1]:50000".parse().unwrap();
            assert_eq!(access.check(mapped, &request(path, &[host])), Ok(()));
            let refused = access.check(elsewhere, &request(path, &[host]));
            assert_eq!(refused, Err(Refusal::Credential));
            let mut put = request(path, &[host]);
            *put.method_mut() = Method::PUT;
            assert_eq!(access.check(local(), &put), Err(Refusal::Credential));
        }
        let id = access.id().to_owned();
        let other = Access::open(None, Vec::new()).unwrap();
        let signed = |id: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential={id}/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
            )
        };
        for (authorization, good) in [
            (signed(&id), true),
            (format!("Bearer {id}"), true),
            (signed(other.id()), false),
            (signed(&id[..id.len() - 1]), false),
            (signed(&format!("{id}0")), false),
            (signed(""), false),
            (format!("Bearer {}", id.to_lowercase()), false),
            (format!("Basic {id}"), false),
            (id.clone(), false),
            (String::new(), false),
        ] {
            let headers = [host, ("authorization", authorization.as_str())];
            let expected = if good { Ok(()) } else { Err(Refusal::Credential) };
            for path in ["/", "/_engine/events/a", "/_engine/event-source-mapping"] {
                assert_eq!(access.check(elsewhere, &request(path, &headers)), expected);
            }
        }
    }

    #[test]
    fn the_id_outlives_a_restart_and_a_spoilt_one_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let id = || Access::open(Some(dir.path()), Vec::new()).unwrap().id().to_owned();
        let first = id();
        assert_eq!((first.len(), id()), (34, first.clone()));
        for spoilt in ["", "short", "has spaces and more than 16"] {
            std::fs::write(dir.path().join(FILE), spoilt).unwrap();
            assert!(is_id(&id()) && id() != first, "{spoilt:?}");
        }
    }
}
