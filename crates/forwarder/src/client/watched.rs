//! A connection that is looked at: what came of an answer, and whether that was after the request had
//! been completely written. What came before belongs to something else.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::head::Head;
use crate::lock;

/// A connection to a destination, ready for HTTP.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What was seen on a connection since the request that it is used for began.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The connection has carried a request before this one.
    reused: bool,
    /// The HTTP client has all of the request.
    handed_over: bool,
    written: Written,
    /// Something came that may be an answer.
    answered: bool,
    head: Head,
}

/// How much of a request was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Written {
    #[default]
    Nothing,
    Something,
    All,
}

/// Bytes that nobody asked for: whatever they say, they are no answer to this request.
#[derive(Debug, thiserror::Error)]
#[error("the connection has bytes from before the request")]
pub(super) struct Unasked;

impl Watch {
    /// A request begins that `body_bytes` belong to.
    pub(super) fn begin(&self, reused: bool, body_bytes: usize) {
        *lock(&self.0) = Seen { reused, handed_over: body_bytes == 0, ..Seen::default() };
    }

    /// The HTTP client has all of the request.
    pub(super) fn hand_over(&self) {
        lock(&self.0).handed_over = true;
    }

    /// The status that was answered, from a whole line. A success counts only where the whole request
    /// was there to succeed; a refusal may come before.
    pub(super) fn status(&self) -> Option<u16> {
        let status = lock(&self.0).head.status()?;
        (!status.early || !(200..=299).contains(&status.code)).then_some(status.code)
    }

    /// Whether anything came that may be an answer.
    pub(super) fn is_answered(&self) -> bool {
        lock(&self.0).answered
    }

    /// Whether the answer is one to this request, and every reader would look for its end in the same
    /// place.
    pub(super) fn is_plain(&self) -> bool {
        let seen = lock(&self.0);
        seen.head.status().is_some_and(|status| !status.early) && !seen.head.is_odd()
    }

    fn read(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut seen = lock(&self.0);
        let early = seen.written != Written::All;
        if seen.reused && early {
            return Err(io::Error::other(Unasked));
        }
        seen.answered = true;
        seen.head.read(bytes, early);
        Ok(())
    }

    /// Looks, before something is written, for what must have come without it.
    fn before_write(&self, stream: &Stream) -> io::Result<()> {
        let mut seen = lock(&self.0);
        // Even the end of a used connection is one: nothing is lost yet, as nothing was sent.
        if seen.reused && !stream.is_silent() {
            return Err(io::Error::other(Unasked));
        }
        // Servers of TLS speak first: they hand out tickets for the next connection.
        if seen.written == Written::Nothing {
            let silent = seen.reused || matches!(stream, Stream::Tls(_)) || stream.is_silent();
            if !silent {
                seen.head.set_early();
            }
            seen.written = Written::Something;
        }
        Ok(())
    }

    fn flushed(&self) {
        let mut seen = lock(&self.0);
        if seen.written == Written::Something && seen.handed_over {
            seen.written = Written::All;
        }
    }
}

impl Stream {
    /// Whether the system has nothing to read for it: no byte, no end, no error. The runtime may not
    /// know yet, so the system is asked.
    fn is_silent(&self) -> bool {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        };
        let peeked = SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// A [`Stream`] and who watches it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) stream: Stream,
    pub(super) watch: Arc<Watch>,
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        Poll::Ready(this.watch.read(&buffer.filled()[before..]))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.watch.before_write(&this.stream)?;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.watch.before_write(&this.stream)?;
        Pin::new(&mut this.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        this.watch.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What a server that speaks first says is no answer, though the system had it before the runtime
    /// knew.
    #[tokio::test]
    async fn a_success_that_was_there_before_the_request_is_none() {
        for (line, status) in [("HTTP/1.1 200 OK\r\n", None), ("HTTP/1.1 503 \r\n", Some(503))] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut server, _) = listener.accept().unwrap();
            server.write_all(line.as_bytes()).unwrap();
            let watch = Arc::new(Watch::default());
            watch.begin(false, 0);
            let stream = Stream::Plain(stream);
            let mut watched = Watched { stream, watch: Arc::clone(&watch) };
            watched.write_all(b"POST / HTTP/1.1\r\n\r\n").await.unwrap();
            watched.flush().await.unwrap();
            let mut request = [0; 19];
            server.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"POST / HTTP/1.1\r\n\r\n");
            watched.read_exact(&mut vec![0; line.len()]).await.unwrap();
            assert_eq!(watch.status(), status);
            assert!(!watch.is_plain(), "the connection is not used again");
        }
    }
}
