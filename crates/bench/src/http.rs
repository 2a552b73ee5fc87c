//! Just enough of HTTP/1.1 for a benchmark: messages with a content length on blocking streams.

use std::io::{self, Read, Write};

/// The largest head that is read, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1_024;

/// One message: its first line and headers as text, and its body.
#[derive(Debug, Default)]
pub struct Message {
    /// First line and headers.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Message {
    /// The value of a header, by its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (given, value) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The path of a request.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// A connection and what has been read from it beyond the last message.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: Read + Write> Connection<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(16 * 1_024) }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads one message; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// The stream's, and `InvalidData` for what is no message.
    pub fn read(&mut self) -> io::Result<Option<Message>> {
        let head_end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the head is too long"));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        self.buffer.drain(..head_end + 4);
        let mut message = Message { head, body: Vec::new() };
        let chunked = message.header("transfer-encoding").is_some_and(|value| value == "chunked");
        if chunked {
            self.read_chunks(&mut message.body)?;
        } else {
            let length = message.header("content-length").and_then(|text| text.parse().ok());
            message.body = self.take(length.unwrap_or(0))?;
        }
        Ok(Some(message))
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            while find(&self.buffer, b"\r\n").is_none() {
                if self.fill()? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let end = find(&self.buffer, b"\r\n").unwrap_or_default();
            let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let size = String::from_utf8_lossy(&line[..end]).into_owned();
            let size = usize::from_str_radix(size.trim(), 16)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let chunk = self.take(size + 2)?;
            if size == 0 {
                return Ok(());
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1_024];
        let read = self.stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Script(io::Cursor<Vec<u8>>);

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let few = buffer.len().min(3);
            self.0.read(&mut buffer[..few])
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn messages_are_told_apart() {
        let text = "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\
                    POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n\
                    GET /c HTTP/1.1\r\n\r\n";
        let mut connection = Connection::new(Script(io::Cursor::new(text.as_bytes().to_vec())));
        for (path, body) in [("/a", "abc"), ("/b", "de"), ("/c", "")] {
            let message = connection.read().unwrap().unwrap();
            assert_eq!((message.path(), message.body.as_slice()), (path, body.as_bytes()));
        }
        assert!(connection.read().unwrap().is_none());
    }
}
