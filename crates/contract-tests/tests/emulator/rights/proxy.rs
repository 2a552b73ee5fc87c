//! What stands between the commands and the emulator: it keeps every call that is made of AWS, gives an
//! API the address at which somebody carries out its integrations, and remembers what the emulator was
//! told and does not answer.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use super::forgotten::Told;
use crate::step;
use anyhow::{Context as _, bail};
use emulator::Background;

/// Where an API says that it is.
const API_ENDPOINT: &str = "\"apiEndpoint\": \"";

/// A call as it was made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The access key, by which a test says who calls.
    pub(crate) who: String,
    /// The service that it is signed for, such as `sqs`.
    pub(crate) service: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// By their names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    pub(super) status: u16,
    pub(super) answer: Vec<u8>,
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    emulator: Mutex<Option<SocketAddr>>,
    calls: Mutex<Vec<Call>>,
    gateways: Mutex<BTreeMap<String, (Background, SocketAddr)>>,
    told: Mutex<Told>,
    dir: PathBuf,
}

impl Proxy {
    /// Listens; gateways keep their files in `dir`.
    pub(super) fn start(dir: PathBuf) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a port")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            emulator: Mutex::default(),
            calls: Mutex::default(),
            gateways: Mutex::default(),
            told: Mutex::default(),
            dir,
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&served);
                std::thread::spawn(move || {
                    if let Err(error) = shared.serve(&stream) {
                        eprintln!("proxy: {error:#}");
                    }
                    // Whoever is gone has closed it.
                    let _closed = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Ok(Self { endpoint, shared })
    }

    /// Says where the emulator is.
    pub(super) fn lead_to(&self, endpoint: &str) -> anyhow::Result<()> {
        let address = endpoint.trim_start_matches("http://").parse()?;
        *lock(&self.shared.emulator) = Some(address);
        Ok(())
    }

    /// Everything that was called since the last time.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.shared.calls))
    }

    /// How many calls were made.
    pub(super) fn count(&self) -> usize {
        lock(&self.shared.calls).len()
    }

    /// Fails unless a call after the first `before` was such a one.
    pub(super) fn saw(&self, before: usize, is_it: &dyn Fn(&Call) -> bool) -> anyhow::Result<()> {
        let calls = lock(&self.shared.calls);
        let found = calls.get(before..).unwrap_or_default().iter().any(is_it);
        found.then_some(()).context("a call that was to be judged was not made")
    }

    /// Ends the gateways.
    pub(super) fn stop(&self) -> anyhow::Result<()> {
        for (gateway, _) in std::mem::take(&mut *lock(&self.shared.gateways)).into_values() {
            gateway.stop()?;
        }
        Ok(())
    }
}

impl Shared {
    /// One request, one connection: an idle one that ends while a request is under way would make the
    /// SDK send it twice.
    fn serve(&self, client: &TcpStream) -> anyhow::Result<()> {
        let mut reader = BufReader::new(client);
        let Some((first, headers)) = head(&mut reader)? else { return Ok(()) };
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if headers.contains_key("expect") {
            (&mut &*client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if headers.contains_key("transfer-encoding") {
            bail!("{first}: a body of unknown length is not understood");
        }
        let mut body = vec![0; length(&headers)?];
        reader.read_exact(&mut body).with_context(|| format!("reading the body of {first}"))?;
        // The emulator would delete the stage with the settings of a route.
        let is_swallowed = method == "DELETE" && target.contains("/routesettings/");
        let mut answer = if is_swallowed {
            (204, Vec::new(), Vec::new())
        } else {
            self.ask(&first, &headers, &body)?
        };
        let status = answer.0;
        if answer.2.windows(API_ENDPOINT.len()).any(|it| it == API_ENDPOINT.as_bytes()) {
            answer.2 = self.with_addresses(&answer.2)?;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(complete) = lock(&self.told).complete(method, path, &body, &answer.2) {
            answer.2 = complete;
        }
        let (who, service) = signature(headers.get("authorization").map_or("", String::as_str));
        lock(&self.calls).push(Call {
            who,
            service,
            method: method.to_owned(),
            path: decoded(path),
            query: pairs(query),
            headers,
            body,
            status,
            answer: answer.2.clone(),
        });
        let mut said = format!("HTTP/1.1 {status} -\r\n");
        for (name, value) in &answer.1 {
            let replaced = ["content-length", "connection", "transfer-encoding"];
            let hop = replaced.contains(&name.as_str());
            // The length of what a HEAD asks about is the object's.
            if !hop || (name == "content-length" && method == "HEAD") {
                said.extend([name, ": ", value, "\r\n"]);
            }
        }
        if method != "HEAD" {
            said.extend(["content-length: ", &answer.2.len().to_string(), "\r\n"]);
        }
        let mut client = client;
        client.write_all(format!("{said}connection: close\r\n\r\n").as_bytes())?;
        client.write_all(&answer.2)?;
        Ok(())
    }

    /// Sends a request on, and returns the status, the headers and the body of the answer.
    #[expect(clippy::type_complexity, reason = "an answer, taken apart at once")]
    fn ask(
        &self,
        first: &str,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> anyhow::Result<(u16, Vec<(String, String)>, Vec<u8>)> {
        let address = lock(&self.emulator).context("there is no emulator yet")?;
        let mut upstream = TcpStream::connect(address).context("asking the emulator")?;
        let mut request = format!("{first}\r\n");
        for (name, value) in headers.iter().filter(|(name, _)| *name != "expect") {
            let value = if name == "connection" { "close" } else { value };
            request.extend([name, ": ", value, "\r\n"]);
        }
        if !headers.contains_key("connection") {
            request.push_str("connection: close\r\n");
        }
        upstream.write_all(format!("{request}\r\n").as_bytes())?;
        upstream.write_all(body)?;
        let mut reader = BufReader::new(upstream);
        let (status, answered) = head(&mut reader)?.context("the emulator did not answer")?;
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut body = Vec::new();
        reader.read_to_end(&mut body).context("reading the emulator's answer")?;
        let chunked = answered.get("transfer-encoding").is_some_and(|it| it == "chunked");
        // Of an answer without a body, as to a HEAD, there are no chunks either.
        if chunked && !body.is_empty() {
            body = unchunked(&body)?;
        }
        Ok((status.context("a status")?, answered.into_iter().collect(), body))
    }

    /// An answer with APIs, each at the address of its gateway.
    fn with_addresses(&self, answer: &[u8]) -> anyhow::Result<Vec<u8>> {
        let text = std::str::from_utf8(answer).context("an API's description is text")?;
        let mut parts = text.split(API_ENDPOINT);
        let mut replaced = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (url, rest) = part.split_once('"').context("an address ends")?;
            let id = url.split("://").nth(1).and_then(|host| host.split('.').next());
            let address = self.gateway(id.context("an API's address begins with its id")?)?;
            replaced.extend([API_ENDPOINT, "http://", &address.to_string(), "\"", rest]);
        }
        Ok(replaced.into_bytes())
    }

    /// Where the API's integrations are carried out.
    fn gateway(&self, api_id: &str) -> anyhow::Result<SocketAddr> {
        let mut gateways = lock(&self.gateways);
        if let Some((_, address)) = gateways.get(api_id) {
            return Ok(*address);
        }
        let address = free_address()?;
        let gateway = Background { name: "gateway", dir: self.dir.join(api_id) };
        let emulator = lock(&self.emulator).context("there is no emulator yet")?;
        let mut command = Command::new(step::program("webhook-gateway"));
        command.args(["--emulator", &format!("http://{emulator}"), "--api-id", api_id]);
        gateway.start(command.args(["--listen", &address.to_string()]), address)?;
        gateways.insert(api_id.to_owned(), (gateway, address));
        Ok(address)
    }
}

/// An address of this machine on which nobody listens.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a port")?;
    Ok(listener.local_addr()?)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first line and the headers, by their names in lower case; `None` at the end.
fn head(
    reader: &mut impl std::io::BufRead,
) -> anyhow::Result<Option<(String, BTreeMap<String, String>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let first = line.trim_end().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(Some((first, headers)));
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
}

fn length(headers: &BTreeMap<String, String>) -> anyhow::Result<usize> {
    headers.get("content-length").map_or(Ok(0), |length| length.parse().context("a length"))
}

fn unchunked(mut chunks: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        chunks.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).context("a chunk's size")?;
        if size == 0 {
            return Ok(body);
        }
        body.extend(chunks.get(..size).context("a chunk is complete")?);
        chunks = &chunks[size + 2..];
    }
}

/// Who has signed, and for which service: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn signature(authorization: &str) -> (String, String) {
    let scope = authorization.split("Credential=").nth(1).unwrap_or_default();
    let mut parts = scope.split('/');
    let who = parts.next().unwrap_or_default().to_owned();
    (who, parts.nth(2).unwrap_or_default().to_owned())
}

/// The names and values of a query string or a form.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let code = (byte == b'%').then(|| rest.get(..2)).flatten();
        let code =
            code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        if code.is_some() {
            rest = &rest[2..];
        }
        bytes.push(code.unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
