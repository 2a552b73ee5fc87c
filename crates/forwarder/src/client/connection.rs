//! One connection and the exchanges on it, one after another.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use domain::dead_letter::RESPONSE_BYTES_MAX;
use domain::outcome::TransportError;
use http::header::{CONTENT_LENGTH, LOCATION, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::connect::class;
use super::watched::{Stream, Watch, Watched};

/// How much of an answer is read, in bytes: to keep the connection for the next delivery an answer
/// must be read to its end, but not whatever its length.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// A connection that is driven by who waits for something of it: no task of its own.
pub(super) struct Connection {
    sender: SendRequest<Payload>,
    /// `None` once it has ended.
    driver: Option<http1::Connection<TokioIo<Watched>, Payload>>,
    watch: Arc<Watch>,
    opened: Instant,
    idle_since: Instant,
    exchanges: u64,
}

/// What is known of an answer, whatever became of the exchange.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) watch: Option<Arc<Watch>>,
    pub(super) retry_after: Option<String>,
    pub(super) location: Option<String>,
    /// The beginning of the body, of answers other than 2xx.
    pub(super) excerpt: Vec<u8>,
}

impl Record {
    pub(super) fn status(&self) -> Option<u16> {
        self.watch.as_ref()?.status()
    }

    /// Whether anything came that may be an answer.
    pub(super) fn is_answered(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_answered())
    }

    fn add_head(&mut self, headers: &HeaderMap) {
        let value = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
        self.retry_after = value(RETRY_AFTER);
        self.location = value(LOCATION);
    }

    fn add_body(&mut self, chunk: &[u8]) {
        let room = RESPONSE_BYTES_MAX - self.excerpt.len();
        self.excerpt.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
}

impl Connection {
    /// A connection that nothing was sent on yet.
    pub(super) async fn new(stream: Stream) -> Result<Self, TransportError> {
        let watch = Arc::new(Watch::default());
        let io = TokioIo::new(Watched { stream, watch: Arc::clone(&watch) });
        let (sender, driver) = http1::Builder::new()
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .handshake(io)
            .await
            .map_err(|error| class(&error))?;
        let now = Instant::now();
        Ok(Self { sender, driver: Some(driver), watch, opened: now, idle_since: now, exchanges: 0 })
    }

    /// When it was opened.
    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// When its last exchange ended.
    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// Sends a request and puts into `record` what comes back. After an error it is of no use any more.
    pub(super) async fn exchange(
        &mut self,
        mut request: Request<Bytes>,
        record: &mut Record,
    ) -> Result<(), TransportError> {
        let body = std::mem::take(request.body_mut());
        self.watch.begin(self.exchanges > 0, body.len());
        self.exchanges += 1;
        record.watch = Some(Arc::clone(&self.watch));
        let payload =
            Payload { bytes: (!body.is_empty()).then_some(body), watch: Arc::clone(&self.watch) };
        let request = request.map(|_empty| payload);
        let mut response = pin!(self.sender.send_request(request));
        let response = poll_fn(|context| {
            drive(&mut self.driver, context);
            response.as_mut().poll(context)
        });
        let response = response.await.map_err(|error| class(&error))?;
        let delivered = response.status().is_success();
        let disputed = has_disputed_body(response.status(), response.headers());
        if !delivered {
            record.add_head(response.headers());
        }
        let (mut body, mut read_bytes) = (response.into_body(), 0);
        while let Some(chunk) = self.chunk(&mut body).await? {
            read_bytes += chunk.len();
            if !delivered {
                record.add_body(&chunk);
            }
            if read_bytes > ANSWER_BYTES_MAX {
                self.driver = None;
                break;
            }
        }
        if disputed {
            self.driver = None;
        }
        self.idle_since = Instant::now();
        Ok(())
    }

    async fn chunk(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, TransportError> {
        loop {
            let frame = poll_fn(|context| {
                drive(&mut self.driver, context);
                Pin::new(&mut *body).poll_frame(context)
            });
            match frame.await {
                None => return Ok(None),
                Some(frame) => {
                    // Trailers say nothing that counts.
                    if let Ok(chunk) = frame.map_err(|error| class(&error))?.into_data() {
                        return Ok(Some(chunk));
                    }
                }
            }
        }
    }

    /// Whether another request may be sent: the last answer was read to its end, nobody can read it
    /// otherwise, and nothing came behind it.
    pub(super) async fn is_reusable(&mut self) -> bool {
        poll_fn(|context| {
            drive(&mut self.driver, context);
            Poll::Ready(())
        })
        .await;
        self.driver.is_some() && self.sender.is_ready() && self.watch.is_plain()
    }
}

/// Whether a head says of its answer's body what not every reader takes from it: what one reader leaves on
/// the connection is the next answer to another. Source: RFC 9112, section 6.3.
fn has_disputed_body(status: StatusCode, headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    match status {
        // They have none. A 304 tells the length of what it does not send.
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
            chunked || length.is_some_and(|length| length != "0")
        }
        _ => chunked && length.is_some(),
    }
}

/// Moves a connection on. One that has ended is dropped, which tells who waits for it.
fn drive(
    driver: &mut Option<http1::Connection<TokioIo<Watched>, Payload>>,
    context: &mut Context<'_>,
) {
    if driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(context).is_ready()) {
        *driver = None;
    }
}

/// The body of a request; tells when the HTTP client has taken it.
struct Payload {
    bytes: Option<Bytes>,
    watch: Arc<Watch>,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        this.watch.hand_over();
        Poll::Ready(this.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
