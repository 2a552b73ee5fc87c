//! Who may see the page, and who may act: on a machine with other users and other programs, to be on
//! loopback proves nothing.
//!
//! - A browser that was sent here by another site, or by a name that leads here, is refused by `Host` and
//!   `Origin`.
//! - Who looks shows a cookie, which is given once, for the start token. Only who may read the file that
//!   the page's owner made has that.
//! - Cookies ignore ports, so another program of this machine may get to see it: who acts shows a token of
//!   the form as well, which no cookie carries, and which is good for that act only.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use uuid::Uuid;

/// How the name of the cookie begins.
const COOKIE_NAME: &str = "webhook-queue-page";

/// A text that nobody guesses: 122 random bits.
pub(crate) fn secret() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Who has been let in.
#[derive(Debug)]
pub(crate) struct Guard {
    start: Mutex<Option<String>>,
    /// Another one for each page: cookies ignore ports, and two pages must not take each other's.
    cookie_name: String,
    cookie: String,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// By the name of the server it asks for another one.
    Host,
    /// Another site sent it.
    Origin,
    /// It does not show the cookie.
    Stranger,
}

impl Guard {
    pub(crate) fn new() -> Self {
        let cookie_name = format!("{COOKIE_NAME}-{}", secret());
        Self { start: Mutex::new(Some(secret())), cookie_name, cookie: secret() }
    }

    /// The start token, if it has not been used.
    pub(crate) fn start_token(&self) -> Option<String> {
        self.start.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The cookie's name and value, for who shows the start token. It works once.
    pub(crate) fn start(&self, token: &str) -> Option<(&str, &str)> {
        let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = start.as_deref().is_some_and(|start| is_same(start, token));
        if is_it {
            *start = None;
        }
        is_it.then_some((self.cookie_name.as_str(), self.cookie.as_str()))
    }

    /// Whether a request may be answered, whoever sends it.
    pub(crate) fn admits(method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
        let host = header(headers, &HOST).filter(|host| is_loopback(host)).ok_or(Refused::Host)?;
        let origin = header(headers, &ORIGIN);
        let is_ours = origin.is_some_and(|origin| origin == format!("http://{host}"));
        // A browser names the origin of whatever may change something.
        let is_needed = !matches!(*method, Method::GET | Method::HEAD);
        if (origin.is_some() || is_needed) && !is_ours {
            return Err(Refused::Origin);
        }
        Ok(())
    }

    /// Whether whoever sends it has been let in.
    pub(crate) fn knows(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut ours = cookies.flat_map(|line| line.split(';')).filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie_name).then_some(value)
        });
        if ours.any(|value| is_same(&self.cookie, value)) { Ok(()) } else { Err(Refused::Stranger) }
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &axum::http::HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).into_iter();
    // Two of them are nobody's.
    let (first, second) = (all.next()?, all.next());
    second.is_none().then(|| first.to_str().ok())?
}

/// Whether a `Host` names this machine to itself, by whatever port: `ssh -L` may give it another.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
    }
}

/// Whether both are the same, in time that depends on their lengths only.
fn is_same(expected: &str, given: &str) -> bool {
    expected.len() == given.len()
        && expected.bytes().zip(given.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_this_machine_is_asked_for() {
        for host in ["127.0.0.1:9000", "localhost:1", "LOCALHOST", "[::1]:80", "127.9.9.9", "[::1]"]
        {
            let headers = headers(&[("host", host)]);
            assert_eq!(Guard::admits(&Method::GET, &headers), Ok(()), "{host}");
        }
        for host in [
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com:80",
            "10.0.0.1",
            "",
            "localhost:http",
            "[::2]:80",
            "::1",
            "127.0.0.1:9000, x",
            "0.0.0.0:80",
            "localhost:99999",
        ] {
            let headers = headers(&[("host", host)]);
            assert_eq!(Guard::admits(&Method::GET, &headers), Err(Refused::Host), "{host}");
        }
        let two = headers(&[("host", "localhost"), ("host", "localhost")]);
        assert_eq!(Guard::admits(&Method::GET, &two), Err(Refused::Host));
        assert_eq!(Guard::admits(&Method::GET, &headers(&[])), Err(Refused::Host));
    }

    #[test]
    fn another_site_s_request_is_refused_and_what_acts_says_where_it_is_from() {
        let check = |method: Method, origin: Option<&'static str>| {
            let mut given = vec![("host", "localhost:9000")];
            given.extend(origin.map(|origin| ("origin", origin)));
            Guard::admits(&method, &headers(&given))
        };
        for method in [Method::GET, Method::POST] {
            assert_eq!(check(method.clone(), Some("http://localhost:9000")), Ok(()));
            for other in
                ["http://localhost:9001", "https://localhost:9000", "null", "http://evil.test"]
            {
                assert_eq!(check(method.clone(), Some(other)), Err(Refused::Origin), "{other}");
            }
        }
        assert_eq!(check(Method::GET, None), Ok(()));
        assert_eq!(check(Method::HEAD, None), Ok(()));
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(check(method, None), Err(Refused::Origin));
        }
    }

    #[test]
    fn a_start_token_works_once_and_a_cookie_from_then_on() {
        let guard = Guard::new();
        let token = guard.start_token().unwrap();
        for wrong in ["", "x", &token[1..], &format!("{token}x"), &"0".repeat(32)] {
            assert_eq!(guard.start(wrong), None);
        }
        let (name, cookie) = guard.start(&token).unwrap();
        let (name, cookie) = (name.to_owned(), cookie.to_owned());
        assert_ne!(name, Guard::new().cookie_name, "two pages do not take each other's");
        assert_eq!((guard.start(&token), guard.start_token()), (None, None));
        assert_ne!(cookie, token);
        let shown = |line: String| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_str(&line).unwrap());
            guard.knows(&headers)
        };
        assert_eq!(shown(format!("a=b; {name}={cookie}")), Ok(()));
        assert_eq!(shown(format!("{name}=x; {name}={cookie}")), Ok(()));
        for line in [format!("{name}={token}"), format!("x={cookie}"), String::new()] {
            assert_eq!(shown(line), Err(Refused::Stranger));
        }
        assert_eq!(guard.knows(&HeaderMap::new()), Err(Refused::Stranger));
    }
}
