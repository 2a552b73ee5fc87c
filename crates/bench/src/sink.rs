//! The destination: answers every request at once, or after a delay; with or without TLS. It takes
//! all but [`FAILING`].

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench::http::Connection;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

const FAILURE: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";

/// The body of an event that is answered 500.
pub(crate) const FAILING: &str = "failing";

/// A running destination; ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    pub(crate) url: String,
    counts: Arc<Counts>,
}

/// How many requests have been answered, and how.
#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    failed: AtomicU64,
    /// What arrived when, if that is asked for.
    arrivals: Option<Mutex<Vec<Arrival>>>,
}

/// A request's body, and when it had been read.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) body: Vec<u8>,
}

/// A server's certificate and the file with the authority to trust.
pub(crate) struct Authority {
    pub(crate) file: PathBuf,
    server: Arc<ServerConfig>,
}

impl Authority {
    /// Makes an authority of our own and a certificate for `localhost`.
    pub(crate) fn new(dir: &Path) -> anyhow::Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        // OpenSSL takes a certificate whose issuer has the certificate's own name for self-signed.
        authority.distinguished_name.push(DnType::CommonName, "bench authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
        let file = dir.join("authority.pem");
        std::fs::write(&file, issuer.pem())
            .with_context(|| format!("writing {}", file.display()))?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Self { file, server: Arc::new(server) })
    }
}

impl Sink {
    /// Starts a destination that answers after `delay`.
    pub(crate) fn start(tls: Option<&Authority>, delay: Duration) -> anyhow::Result<Self> {
        Self::counting(tls, delay, Counts::default())
    }

    /// Starts one that answers at once and notes what arrives when.
    pub(crate) fn noting_arrivals() -> anyhow::Result<Self> {
        let counts = Counts { arrivals: Some(Mutex::default()), ..Counts::default() };
        Self::counting(None, Duration::ZERO, counts)
    }

    fn counting(tls: Option<&Authority>, delay: Duration, counts: Counts) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("binding the sink")?;
        let port = listener.local_addr()?.port();
        let url = match tls {
            Some(_) => format!("https://localhost:{port}"),
            None => format!("http://127.0.0.1:{port}"),
        };
        let server = tls.map(|authority| Arc::clone(&authority.server));
        let counts = Arc::new(counts);
        let counter = Arc::clone(&counts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, counter) = (server.clone(), Arc::clone(&counter));
                std::thread::spawn(move || {
                    // A connection ends with its candidate.
                    let _ended = accept(stream, server, delay, &counter);
                });
            }
        });
        Ok(Self { url, counts })
    }

    /// How many requests have been taken.
    pub(crate) fn taken(&self) -> u64 {
        self.counts.taken.load(Ordering::Relaxed)
    }

    /// What has arrived, once.
    pub(crate) fn take_arrivals(&self) -> Vec<Arrival> {
        let arrivals = self.counts.arrivals.as_ref();
        arrivals
            .map(|all| std::mem::take(&mut *all.lock().expect("nobody panics with it")))
            .unwrap_or_default()
    }

    /// How many have been answered 500.
    pub(crate) fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }
}

fn accept(
    stream: TcpStream,
    server: Option<Arc<ServerConfig>>,
    delay: Duration,
    counter: &Counts,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    match server {
        None => answer(stream, delay, counter),
        Some(server) => {
            answer(StreamOwned::new(ServerConnection::new(server)?, stream), delay, counter)
        }
    }
}

fn answer(stream: impl Read + Write, delay: Duration, counts: &Counts) -> anyhow::Result<()> {
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.read()? {
        let at = Instant::now();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        let (answer, counter) = if request.body == FAILING.as_bytes() {
            (FAILURE, &counts.failed)
        } else {
            (ANSWER, &counts.taken)
        };
        connection.write(answer)?;
        if let Some(arrivals) = &counts.arrivals {
            let arrival = Arrival { at, body: request.body };
            arrivals.lock().expect("nobody panics with it").push(arrival);
        }
        counter.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
