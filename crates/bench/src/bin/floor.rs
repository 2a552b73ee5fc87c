//! The floor: what forwarding costs at least. Takes an event from the Runtime API, posts each
//! record's body to `FLOOR_TARGET` (`http://` or `https://` on an address) and answers. Nothing else.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use bench::http::Connection;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde::Deserialize;

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    body: String,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime_api = std::env::var("AWS_LAMBDA_RUNTIME_API")?;
    let target = std::env::var("FLOOR_TARGET")?;
    let tls = target.strip_prefix("https://").map(|_| tls()).transpose()?;
    let address = target.split("//").nth(1).unwrap_or_default();
    let mut runtime = Connection::new(connect(&runtime_api)?);
    let mut sink: Option<Connection<Box<dyn Stream>>> = None;
    let next =
        format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: {runtime_api}\r\n\r\n");
    loop {
        runtime.write(next.as_bytes())?;
        let Some(invocation) = runtime.read()? else { return Ok(()) };
        let id = invocation.header("lambda-runtime-aws-request-id").unwrap_or_default().to_owned();
        let event: Event = serde_json::from_slice(&invocation.body)?;
        for record in event.records {
            let sink = match &mut sink {
                Some(sink) => sink,
                None => sink.insert(Connection::new(open(address, tls.as_ref())?)),
            };
            let length = record.body.len();
            let head = format!(
                "POST /application-hook HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\n\r\n"
            );
            sink.write(&[head.as_bytes(), record.body.as_bytes()].concat())?;
            sink.read()?;
        }
        let body = r#"{"batchItemFailures":[]}"#;
        let response = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: {runtime_api}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        runtime.write(response.as_bytes())?;
        runtime.read()?;
    }
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn open(address: &str, tls: Option<&Arc<ClientConfig>>) -> Result<Box<dyn Stream>, Box<dyn Error>> {
    let Some(tls) = tls else { return Ok(Box::new(connect(address)?)) };
    let stream = connect(&address.replace("localhost", "127.0.0.1"))?;
    let session = ClientConnection::new(Arc::clone(tls), ServerName::try_from("localhost")?)?;
    Ok(Box::new(StreamOwned::new(session, stream)))
}

fn tls() -> Result<Arc<ClientConfig>, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(std::env::var("SSL_CERT_FILE")?)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
