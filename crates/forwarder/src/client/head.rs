//! The head of an answer, looked at byte by byte as it comes: the status line is what counts, and no
//! parser that stumbles over a later line may take it back.

/// How much of a status line is looked at: `HTTP/1.1 200` and what ends it. The reason may be longer.
const LINE_BYTES: usize = 16;

/// An answer's status, from a whole status line (RFC 9112, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: u16,
    /// Its line began before the request was completely written.
    pub(super) early: bool,
}

/// What was seen of a head so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    at: At,
    line: [u8; LINE_BYTES],
    /// Bytes of the current line, those that were not kept among them.
    length: usize,
    /// The last byte was a CR.
    cr: bool,
    early: bool,
    status: Option<Status>,
    odd: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    StatusLine,
    /// In a header line of an answer, or of one before the answer (1xx).
    Name {
        interim: bool,
    },
    Value {
        interim: bool,
    },
    /// Behind the head, or in what is none.
    End,
}

impl Head {
    /// The status of the final answer, as soon as its line is whole.
    pub(super) fn status(&self) -> Option<Status> {
        self.status
    }

    /// Whether it has come to its end, or is none.
    pub(super) fn is_ended(&self) -> bool {
        self.at == At::End
    }

    /// Whether there is a line that readers do not agree about: what follows may not be where they
    /// look for it.
    pub(super) fn is_odd(&self) -> bool {
        self.odd
    }

    /// What comes next was there before the request was completely written.
    pub(super) fn set_early(&mut self) {
        self.early = true;
    }

    /// Takes what came, `early` if that was before the request was completely written.
    pub(super) fn read(&mut self, bytes: &[u8], early: bool) {
        for byte in bytes {
            if self.at == At::End {
                return;
            }
            self.early |= early;
            self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) {
        if byte == b'\n' {
            self.end_line();
            (self.length, self.cr, self.early) = (0, false, false);
            return;
        }
        if let Some(place) = self.line.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
        let after_cr = std::mem::replace(&mut self.cr, byte == b'\r');
        match self.at {
            At::Name { .. } | At::Value { .. } if after_cr => self.odd = true,
            At::Name { interim } if byte == b':' => {
                self.odd |= self.length == 1;
                self.at = At::Value { interim };
            }
            At::Name { .. } => self.odd |= !is_token(byte) && !self.is_blank(),
            At::Value { .. } => self.odd |= byte == 0x7f || byte < b' ' && !b"\t\r".contains(&byte),
            At::StatusLine | At::End => {}
        }
    }

    fn end_line(&mut self) {
        self.at = match self.at {
            // Some write an empty line too many behind a body.
            At::StatusLine | At::Name { interim: true } if self.is_blank() => At::StatusLine,
            At::StatusLine => match status(&self.line[..self.length.min(LINE_BYTES)]) {
                Some(code) if is_interim(code) => At::Name { interim: true },
                Some(code) => {
                    self.status = Some(Status { code, early: self.early });
                    At::Name { interim: false }
                }
                None => At::End,
            },
            At::Name { interim: false } if self.is_blank() => At::End,
            At::Name { interim } => {
                self.odd = true;
                At::Name { interim }
            }
            At::Value { interim } => At::Name { interim },
            At::End => At::End,
        }
    }

    fn is_blank(&self) -> bool {
        self.length == 0 || self.length == 1 && self.line[0] == b'\r'
    }
}

/// After 101 no HTTP follows, so it is final.
fn is_interim(code: u16) -> bool {
    code < 200 && code != 101
}

/// The status in the beginning of a line, without the LF that ended it.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [minor, b' ', code @ ..] = rest else { return None };
    let (code, rest) = code.split_at_checked(3)?;
    if !minor.is_ascii_digit() || !matches!(rest, [] | [b' ', ..] | [b'\r']) {
        return None;
    }
    let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
    (100..=999).contains(&code).then_some(code)
}

/// Source: RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8]) -> Head {
        let mut head = Head::default();
        // A byte at a time: wherever the network cuts, it is the same head.
        for byte in bytes {
            head.read(std::slice::from_ref(byte), false);
        }
        head
    }

    #[test]
    fn a_status_counts_with_its_whole_line() {
        for (bytes, expected) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 204\r\n", Some(204)),
            ("HTTP/1.1 204\n", Some(204)),
            ("HTTP/1.7 299 \r\n", Some(299)),
            ("HTTP/1.1 200 a reason longer than what is kept of it\x7f\r\n", Some(200)),
            ("\r\n\nHTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.1 600 \r\n", Some(600)),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n", Some(101)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 \r\n", Some(503)),
            ("HTTP/1.1 103 Early Hints\r\nodd line\r\nlink: x\r\n\r\nHTTP/1.1 200 \r\n", Some(200)),
            ("HTTP/1.1 503 \r\n\r\nHTTP/1.1 200 OK\r\n", Some(503)),
            ("HTTP/1.1 200 OK\r", None),
            ("HTTP/1.1 200", None),
            ("HTTP/1.1 100 Continue\r\n\r\n", None),
            ("HTTP/1.1 100 Continue\r\nHTTP/1.1 200 OK\r\n", None),
            ("HTTP/1.1 2000 OK\r\n", None),
            ("HTTP/1.1 20 OK\r\n", None),
            ("HTTP/1.1 +20 OK\r\n", None),
            ("HTTP/1.1 099 \r\n", None),
            ("HTTP/1.1  200 OK\r\n", None),
            ("HTTP/1.1 200OK\r\n", None),
            ("HTTP/2 200 OK\r\n", None),
            ("HTTP/1.x 200 OK\r\n", None),
            (" HTTP/1.1 200 OK\r\n", None),
            ("SSH-2.0-OpenSSH_9.9\r\nHTTP/1.1 200 OK\r\n", None),
            ("", None),
        ] {
            let code = head(bytes.as_bytes()).status().map(|status| status.code);
            assert_eq!(code, expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_line_that_readers_do_not_agree_about_is_odd() {
        for (lines, odd) in [
            ("server: x\r\nset-cookie: a=b; c=\"\u{e9}\"\r\n\r\nno: \x7f", false),
            ("empty:\r\n\r\n", false),
            ("tab:\tx\n\n", false),
            ("space : 1\r\n", true),
            ("a: one\r\n two\r\n", true),
            ("no colon\r\n", true),
            ("nocolon\r\n", true),
            (": no name\r\n", true),
            ("a: \x7f\r\n", true),
            ("a: \x00\r\n", true),
            ("a: b\rc: d\r\n", true),
            ("\ra: b\r\n", true),
        ] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{lines}");
            assert_eq!(head(bytes.as_bytes()).is_odd(), odd, "{lines:?}");
        }
    }

    #[test]
    fn a_line_that_began_too_early_says_so() {
        let mut head = Head::default();
        head.read(b"HTTP/1.1 100 Continue\r\n\r\nHT", true);
        head.read(b"TP/1.1 200 OK\r\n", false);
        assert_eq!(head.status(), Some(Status { code: 200, early: true }));
        let mut head = Head::default();
        head.read(b"HTTP/1.1 100 Continue\r\n\r\n", true);
        head.read(b"HTTP/1.1 200 OK\r\n", false);
        assert_eq!(head.status(), Some(Status { code: 200, early: false }));
        let mut head = Head::default();
        head.set_early();
        head.read(b"HTTP/1.1 200 OK\r\n", false);
        assert_eq!(head.status(), Some(Status { code: 200, early: true }));
    }
}
