//! The page as a browser and as others on the machine see it. The operator's program is a script here,
//! which notes how it is called and says what a file says.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use page::{Operator, Page};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(30);

/// A page that is served, and what it may ask.
struct Served {
    dir: TempDir,
    address: SocketAddr,
    token: String,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Answer {
    status: u16,
    headers: String,
    body: String,
}

const SCRIPT: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
# In one write, as calls beside each other write as well.
line=; for word in "$@"; do line="$line$word|"; done; printf '%s\n' "$line" >> calls
case "$1" in dlq) name="dlq-$2" ;; *) name="$1" ;; esac
case "$*" in *--history=*) name="history" ;; *--routes*) name="routes" ;; esac
if [ -f "$name.sleeps" ]; then
    trap 'echo stopped >> calls; exit 130' TERM
    echo "on its way" >&2
    while :; do sleep 0.05; done
fi
[ "$name" = dlq-edit ] && cat > edited
if [ "$name" = logs ] && [ -f logs.json ]; then exec tail -n +1 -f logs.json; fi
if [ -f "$name.json" ]; then cat "$name.json"; else echo "error: $name is not there" >&2; exit 1; fi
"#;

fn serve(acts: bool) -> Served {
    serve_of(acts, false)
}

fn serve_of(acts: bool, is_aws: bool) -> Served {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("operator");
    fs::write(&program, SCRIPT).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let status = json!({
        "verdict": { "kind": "act", "sentence": "You: <b>look</b> at order-7" },
        "queue": { "events": 4711, "in_flight": 2, "oldest_age_ms": 61_000, "waiting_groups": null },
        "dead_letters": { "count": 12 }, "loss_meter": null, "unknown": ["the loss meter (timeout)"],
        "delivery": { "pauses": [] },
    });
    fs::write(dir.path().join("status.json"), status.to_string()).unwrap();
    fs::write(dir.path().join("history.json"), history(60).to_string()).unwrap();
    let operator = Operator::new(program, "shop".to_owned(), vec!["--data-dir".into(), "d".into()]);
    let page = Page { operator, is_aws, acts, port: 0 };
    let (end, ended) = oneshot::channel::<()>();
    let (told, tell) = std::sync::mpsc::channel();
    let door = dir.path().join("door.html");
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let start = page.listen().await.unwrap();
            start.write_door(&door).unwrap();
            told.send(start.address().unwrap()).unwrap();
            start.serve(async { drop(ended.await) }).await.unwrap();
        });
    });
    let address = tell.recv().unwrap();
    let door = fs::read_to_string(dir.path().join("door.html")).unwrap();
    let (_, token) = door.split_once("?token=").unwrap();
    let token = token.split('"').next().unwrap().to_owned();
    Served { dir, address, token, end: Some(end), thread: Some(thread) }
}

/// So many minutes, of which the first ten are not known.
fn history(minutes: u64) -> serde_json::Value {
    let minute = |n: u64| {
        let known = (n >= 10).then_some(n * 1_000);
        json!({
            "at": format!("2027-01-15T12:{:02}:00Z", n % 60), "accepted": known, "delivered": known,
            "failed": known.map(|_| 0), "dead_lettered": known, "p50_ms": known, "p99_ms": known,
        })
    };
    let mut step = minute(59);
    step["in_part"] = json!(["failed"]);
    json!({
        "host": "engine", "minutes": (0..minutes).map(minute).collect::<Vec<_>>(),
        "steps": [minute(0), step], "unknown": [],
    })
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

impl Served {
    fn end(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    fn says(&self, name: &str, json: &serde_json::Value) {
        fs::write(self.dir.path().join(format!("{name}.json")), json.to_string()).unwrap();
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    /// Calls other than those that happen by themselves.
    fn acts(&self) -> Vec<String> {
        self.calls().into_iter().filter(|call| !call.starts_with("status|")).collect()
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = format!("127.0.0.1:{}", self.address.port());
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            write!(request, "host: {host}\r\n").unwrap();
        }
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        if method == "POST" {
            let kind = "application/x-www-form-urlencoded";
            let bytes = body.len();
            write!(request, "content-type: {kind}\r\ncontent-length: {bytes}\r\n").unwrap();
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, headers: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// How many bytes of body come, as they are sent.
    fn fetched_bytes(&self, path: &str, headers: &[(&str, &str)]) -> usize {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n");
        write!(request, "host: 127.0.0.1:{}\r\n", self.address.port()).unwrap();
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}");
        answer.len() - end - 4
    }

    /// Lets a browser in: its cookie, and the secret of acts if there is one.
    fn enter(&self) -> Browser<'_> {
        let answer = self.send("GET", &format!("/start?token={}", self.token), &[], "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let cookie = answer.headers.split("set-cookie: ").nth(1).unwrap();
        let line = cookie.lines().next().unwrap();
        assert!(line.ends_with("; path=/; httponly; samesite=strict"), "{line}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let secret = answer.body.split("name=\"act-secret\" content=\"").nth(1);
        let secret = secret.map(|rest| rest.split('"').next().unwrap().to_owned());
        Browser { page: self, cookie, secret }
    }
}

struct Browser<'p> {
    page: &'p Served,
    cookie: String,
    secret: Option<String>,
}

impl Browser<'_> {
    fn get(&self, path: &str) -> String {
        let answer = self.page.send("GET", path, &[("cookie", &self.cookie)], "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        let origin = format!("http://127.0.0.1:{}", self.page.address.port());
        let secret = self.secret.clone().unwrap_or_default();
        let headers = [("cookie", self.cookie.as_str()), ("origin", &origin), ("x-act", &secret)];
        self.page.send("POST", path, &headers, body)
    }

    /// Where an act leads to.
    fn led(&self, path: &str, body: &str) -> String {
        let answer = self.post(path, body);
        let to = answer.headers.split("hx-redirect: ").nth(1);
        let to = to.unwrap_or_else(|| panic!("{} {}", answer.status, answer.body));
        to.split("\r\n").next().unwrap().to_owned()
    }

    /// Prepares an act and begins it; gives where it is shown.
    fn act(&self, prepare: &str, why: &str) -> String {
        let prepared = self.led("/prepare", prepare);
        let token = prepared.rsplit('/').next().unwrap();
        self.led("/begin", &format!("token={token}&why={why}"))
    }

    fn await_text(&self, path: &str, text: &str) -> String {
        let began = Instant::now();
        loop {
            let body = self.get(path);
            if body.contains(text) {
                return body;
            }
            assert!(began.elapsed() < PATIENCE, "no {text:?} in {body}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn nobody_sees_anything_without_the_token_and_it_works_once() {
    let page = serve(true);
    for path in [
        "/",
        "/keys",
        "/dead-letters",
        "/event?q=x",
        "/acts",
        "/acts/1",
        "/news",
        "/prepared/x",
        "/live",
        "/exported/x",
    ] {
        let answer = page.send("GET", path, &[], "");
        assert_eq!(answer.status, 401, "{path}");
        assert!(!answer.body.contains("4711"), "{path}");
    }
    assert_eq!(page.send("GET", "/start?token=x", &[], "").status, 401);
    let browser = page.enter();
    assert!(browser.get("/").contains("4711"));
    let again = page.send("GET", &format!("/start?token={}", page.token), &[], "");
    assert_eq!(again.status, 401);
    // A form on the page is another way in; its token is used up as well.
    let origin = format!("http://127.0.0.1:{}", page.address.port());
    let typed = format!("token={}", page.token);
    assert_eq!(page.send("POST", "/start", &[("origin", &origin)], &typed).status, 401);
}

#[test]
fn another_name_and_another_site_are_refused_whatever_they_show() {
    let page = serve(true);
    let browser = page.enter();
    let cookie = ("cookie", browser.cookie.as_str());
    let port = page.address.port();
    let check = |headers: &[(&str, &str)], status| {
        let headers: Vec<_> = headers.iter().copied().chain([cookie]).collect();
        assert_eq!(page.send("GET", "/", &headers, "").status, status, "{headers:?}");
    };
    check(&[("host", "rebound.example.com")], 403);
    check(&[("host", &format!("rebound.example.com:{port}"))], 403);
    check(&[("origin", "https://evil.example.com")], 403);
    check(&[("origin", &format!("http://127.0.0.1:{}", port ^ 1))], 403);
    // By `ssh -L`, with another port.
    check(&[("host", "localhost:9000"), ("origin", "http://localhost:9000")], 200);
    let answer = page.send("GET", "/", &[cookie], "");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self';",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(answer.headers.contains(header), "{}", answer.headers);
    }
    assert!(!answer.headers.contains("unsafe"), "{}", answer.headers);
}

#[test]
fn a_cookie_alone_begins_nothing_and_a_page_that_shows_begins_nothing_at_all() {
    for acts in [false, true] {
        let page = serve(acts);
        let mut browser = page.enter();
        assert_eq!(browser.secret.is_some(), acts);
        for secret in [None, Some("x".to_owned()), Some(browser.cookie.clone())] {
            browser.secret = secret;
            for (path, body) in [
                ("/prepare", "act=retry&key=k"),
                ("/begin", "token=x&why=y"),
                ("/acts/1/stop", ""),
                ("/export", ""),
            ] {
                assert_eq!(browser.post(path, body).status, 403, "{path}");
            }
        }
        assert_eq!(page.acts(), [""; 0]);
        assert_eq!(
            browser.get("/").contains("hx-post"),
            acts,
            "what cannot be done is not offered"
        );
    }
}

#[test]
fn it_shows_what_the_commands_say_and_what_others_wrote_is_text() {
    let page = serve(true);
    let browser = page.enter();
    let now = browser.get("/");
    assert!(now.contains("You: &lt;b&gt;look&lt;/b&gt; at order-7"), "{now}");
    assert!(now.contains("<dd>4711</dd>") && now.contains("1 min 1 s"), "{now}");
    // Waiting keys, missing, accepted and delivered are not known.
    assert_eq!(now.matches("<dd>?</dd>").count(), 4, "{now}");
    assert!(now.contains("the loss meter (timeout)"), "{now}");
    page.says(
        "show",
        &json!({
            "event_id": "e<1>", "state": "dead",
            "history": [{ "at": "2027-01-15T12:00:00Z", "what": "retry", "text": "answered <503>" }],
            "messages": [{
                "headers": { "x-api-key": "(masked)", "content-type": "text/html" },
                "body": "<script>alert('山田')</script>",
            }],
        }),
    );
    let event = browser.get("/event?q=%3Cscript%3E");
    assert!(event.contains("&lt;script&gt;alert('山田')&lt;/script&gt;"), "{event}");
    assert!(!event.contains("<script>"), "{event}");
    assert!(event.contains("text/html") && event.contains("class=\"faint\">hidden"), "{event}");
    assert!(event.contains("retrying · <span lang=\"en\">answered &lt;503&gt;</span>"), "{event}");
    let headers = [("cookie", browser.cookie.as_str()), ("accept-language", "ja")];
    let event = page.send("GET", "/event?q=e", &headers, "").body;
    assert!(event.contains("再試行待ち · <span") && event.contains("デッドレター"), "{event}");
    assert!(page.acts().contains(&"show|shop|--data-dir|d|--json|--|<script>|".to_owned()));
    let failed = browser.get("/keys");
    assert!(failed.contains("blocked is not there"), "{failed}");
    let headers = [("cookie", browser.cookie.as_str()), ("accept-language", "ja")];
    let japanese = page.send("GET", "/", &headers, "").body;
    assert!(japanese.contains("lang=\"ja\"") && japanese.contains("対応が必要です"), "{japanese}");
}

#[test]
fn however_many_look_the_environment_is_asked_once() {
    let page = serve(false);
    page.says("blocked", &json!({ "groups": [] }));
    let browser = page.enter();
    browser.get("/");
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                browser.get("/");
                browser.get("/keys");
            });
        }
    });
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    let asked = |what: &str| {
        let calls = page.calls();
        calls.iter().filter(|it| it.starts_with(what) && !it.contains("--history=")).count()
    };
    assert!(asked("blocked|") <= 1 + seconds, "{}", asked("blocked|"));
    assert!(asked("status|") <= 2 + seconds, "{}", asked("status|"));
}

#[test]
fn an_act_is_looked_at_says_why_and_is_done_once() {
    let page = serve(true);
    page.says(
        "dlq-redrive",
        &json!({ "sent": ["--all"], "would_send": [{ "group": "k", "event_id": "--all" }] }),
    );
    let browser = page.enter();
    let prepared = browser.led("/prepare", "act=redrive&event_id=--all");
    let shown = browser.get(&prepared);
    assert!(shown.contains("dlq redrive --why TEXT shop -- --all"), "{shown}");
    let rehearsed = "dlq|redrive|shop|--data-dir|d|--json|--dry-run|--|--all|";
    assert_eq!(page.acts(), [rehearsed]);
    let token = prepared.rsplit('/').next().unwrap();
    for wrong in
        [format!("token={token}"), format!("token={token}&why=+"), "token=x&why=y".to_owned()]
    {
        let answer = browser.post("/begin", &wrong);
        assert!(answer.body.contains("role=\"alert\""), "{}", answer.body);
    }
    assert_eq!(page.acts(), [rehearsed]);
    let begin = format!("token={token}&why=it%27s+fixed");
    let act = browser.led("/begin", &begin);
    // Sent again, as by a second click: the same act.
    assert_eq!(browser.led("/begin", &begin), act);
    let ended = browser.await_text(&act, "done");
    // In words; the command's own are below.
    assert!(ended.contains("<dt>Sent again</dt><dd>1</dd>"), "{ended}");
    let own = ended.find("<details><summary>The command").unwrap();
    assert!(ended.find("&quot;sent&quot;").unwrap() > own, "{ended}");
    let done = "dlq|redrive|shop|--data-dir|d|--json|--why=it's fixed|--|--all|";
    assert_eq!(page.acts(), [rehearsed, done]);
}

#[test]
fn an_issue_s_letters_are_those_that_were_there_when_it_was_looked_at() {
    let page = serve(true);
    let letters = |count: usize| -> serde_json::Value {
        (0..count).map(|n| json!({ "event_id": format!("e-{n}") })).collect::<Vec<_>>().into()
    };
    page.says("dlq-list", &letters(101));
    page.says("dlq-redrive", &json!({ "sent": [] }));
    let browser = page.enter();
    let prepared = browser.led("/prepare", "act=redrive&issue=i-4f2a");
    assert!(page.acts()[0].contains("--issue=i-4f2a|"), "{:?}", page.acts());
    page.says("dlq-list", &letters(300));
    let token = prepared.rsplit('/').next().unwrap();
    let few = browser.post("/begin", &format!("token={token}&why=fixed&number=300"));
    assert!(few.body.contains("not how many there are"), "{}", few.body);
    let act = browser.led("/begin", &format!("token={token}&why=fixed&number=101"));
    browser.await_text(&act, "done");
    let done = page.acts().pop().unwrap();
    assert!(done.ends_with("|e-99|e-100|"), "{done}");
}

#[test]
fn an_act_goes_on_alone_tells_its_progress_and_can_be_stopped() {
    let page = serve(true);
    fs::write(page.dir.path().join("retry.sleeps"), "").unwrap();
    let browser = page.enter();
    let act = browser.act("act=retry&key=order-7", "back");
    browser.await_text(&act, "on its way");
    assert!(browser.get(&act).contains("under way"));
    browser.led(&format!("{act}/stop"), "");
    browser.await_text(&act, "interrupted");
    assert_eq!(page.acts().pop().unwrap(), "stopped");
}

#[test]
fn acts_end_with_the_page() {
    let mut page = serve(true);
    fs::write(page.dir.path().join("retry.sleeps"), "").unwrap();
    let browser = page.enter();
    let act = browser.act("act=retry&key=order-7", "back");
    browser.await_text(&act, "on its way");
    drop(browser);
    page.end();
    assert_eq!(page.acts().pop().unwrap(), "stopped");
}

/// A page's weight, all that it loads included: 150 KB at most.
#[test]
fn what_a_browser_loads_is_light_and_whole() {
    let page = serve(true);
    let browser = page.enter();
    let bytes: usize = ["/", "/page.css", "/page.js", "/htmx.js", "/uplot.js", "/uplot.css"]
        .iter()
        .map(|path| browser.get(path).len())
        .sum();
    assert!(bytes < 150_000, "{bytes} bytes");
    let loaded = browser.get("/");
    assert!(!loaded.contains("src=\"http") && !loaded.contains("href=\"http"), "{loaded}");
}

/// As their authors made them: `dist/` of htmx.org 2.0.11 and of uplot 1.6.32.
#[test]
fn what_others_made_is_what_they_released() {
    use sha2::{Digest as _, Sha256};
    for (name, expected) in [
        ("htmx-2.0.11.min.js", "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"),
        (
            "uplot-1.6.32.iife.min.js",
            "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        ),
        (
            "uplot-1.6.32.min.css",
            "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        ),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/assets").join(name);
        let digest = Sha256::digest(fs::read(file).unwrap());
        let digest = digest.iter().fold(String::new(), |all, byte| format!("{all}{byte:02x}"));
        assert_eq!(digest, expected, "{name}");
    }
}

/// Charts are drawn by the script from what the section holds; without it there are the numbers.
#[test]
fn what_happened_in_each_minute_is_there_for_the_script_and_in_numbers() {
    let page = serve(false);
    let browser = page.enter();
    let now = browser.get("/");
    assert!(now.contains("data-from=\"2027-01-15T12:00:00Z\""), "{now}");
    let series = now.split("data-series=\"[[").nth(1).unwrap().split(']').next().unwrap();
    let values: Vec<&str> = series.split(',').collect();
    assert_eq!((values.len(), values[9], values[10], values[59]), (60, "null", "10000", "59000"));
    assert!(now.contains("<details><summary>The same in numbers"), "{now}");
    for cell in ["?", "59000", "0+", "59 s", "–"] {
        assert!(now.contains(&format!("\">{cell}</td>")), "{cell}: {now}");
    }
    assert!(!now.contains("style="), "the policy allows no inline style: {now}");
    let scripts: Vec<&str> = now.split("<script").skip(1).collect();
    assert!(scripts.iter().all(|it| it.starts_with(" src=\"/")), "{scripts:?}");
    page.says("history", &history(1_440));
    let day = browser.get("/history?back=day");
    assert!(day.starts_with("<section id=\"history\" hx-preserve=\"true\" data-back=\"day\">"));
    assert!(page.calls().iter().any(|it| it.contains("|--history=day|")), "{:?}", page.calls());
    // Who has the charts keeps them when the rest is shown anew.
    let headers = [("cookie", browser.cookie.as_str()), ("hx-request", "true")];
    let anew = page.send("GET", "/?back=day", &headers, "").body;
    assert!(anew.contains("data-back=\"day\"></section>"), "{anew}");
    let page = serve(false);
    fs::remove_file(page.dir.path().join("history.json")).unwrap();
    let without = page.enter().get("/");
    assert!(without.contains("history is not there") && without.contains("4711"), "{without}");
}

#[test]
fn what_cannot_be_meant_is_said_at_once_and_prepares_nothing() {
    let page = serve(true);
    page.says("dlq-list", &json!([]));
    let browser = page.enter();
    for body in [
        "act=pause&minutes=30m",
        "act=pause&minutes=0",
        "act=pause&minutes=-5",
        "act=pause&minutes=%EF%BC%95",
        "act=retry&key=",
        "act=resume",
        "act=skip&event_id=+",
        "act=drop&grep=zzz",
        "act=other",
    ] {
        let answer = browser.post("/prepare", body);
        assert!(answer.body.contains("role=\"alert\""), "{body}: {}", answer.body);
        assert!(!answer.headers.contains("hx-redirect"), "{body}");
        assert!(answer.headers.contains("hx-retarget: #content"), "{body}");
    }
    assert!(browser.led("/prepare", "act=pause&minutes=").starts_with("/prepared/"));
    let shown = browser.get(&browser.led("/prepare", "act=pause&minutes=+30"));
    assert!(shown.contains("pause shop --for 30m --why TEXT"), "{shown}");
}

/// An event without data is not told to a page. Source: HTML, "Server-sent events".
#[test]
fn news_has_data() {
    let page = serve(true);
    let browser = page.enter();
    let mut stream = TcpStream::connect(page.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = format!("127.0.0.1:{}", page.address.port());
    let request =
        format!("GET /news HTTP/1.1\r\nhost: {host}\r\ncookie: {}\r\n\r\n", browser.cookie);
    stream.write_all(request.as_bytes()).unwrap();
    let (mut told, mut bytes) = (String::new(), [0; 512]);
    while !told.contains("data: news\n") {
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "{told}");
        told += &String::from_utf8_lossy(&bytes[..count]);
    }
    assert!(told.contains("event: news\n"), "{told}");
}

#[test]
fn a_look_at_the_door_uses_no_token_up_and_a_filter_is_for_issues_as_well() {
    let page = serve(true);
    let path = format!("/start?token={}", page.token);
    assert_eq!(page.send("HEAD", &path, &[], "").status, 405);
    let browser = page.enter();
    page.says("dlq-issues", &json!({ "issues": [] }));
    page.says("dlq-list", &json!([]));
    browser.get("/dead-letters?grep=zzz");
    let acts = page.acts();
    assert!(acts.iter().all(|call| call.contains("|--grep=zzz|")) && acts.len() == 2, "{acts:?}");
}

fn logged(message: &str, event_id: &str) -> String {
    let line = json!({
        "timestamp": "2026-01-01T00:00:00.123Z", "message": message, "event_id": event_id,
        "group": "order-7", "route": "sss", "destination": "service", "status": 200, "latency_ms": 12,
    });
    format!("{line}\n")
}

#[test]
fn what_comes_in_and_goes_out_is_seen_live_and_the_log_is_followed_once() {
    let page = serve(true);
    let log = page.dir.path().join("logs.json");
    let lines = logged("accepted", "e-<1>") + &logged("listening", "no-event-s") + "{ torn\n";
    fs::write(&log, lines + &logged("delivered", "e-<1>")).unwrap();
    let browser = page.enter();
    let shown = browser.await_text("/live", "delivered");
    assert!(shown.contains("e-&lt;1&gt;") && !shown.contains("no-event-s"), "{shown}");
    assert!(shown.find("delivered").unwrap() < shown.find("accepted").unwrap(), "the newest first");
    assert!(shown.contains("sss → service") && shown.contains("12 ms"), "{shown}");
    assert!(shown.contains("value=\"repeat\"") && shown.contains("data-live"), "{shown}");
    // What is written from then on comes by itself, and however many look.
    let mut more = fs::OpenOptions::new().append(true).open(&log).unwrap();
    more.write_all(logged("retry", "e-2").as_bytes()).unwrap();
    browser.await_text("/live", "e-2");
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| browser.get("/live"));
        }
    });
    let paused = browser.get("/live?paused=true");
    assert!(!paused.contains("data-live") && paused.contains("href=\"/live\""), "{paused}");
    let followed: Vec<String> =
        page.acts().into_iter().filter(|call| call.starts_with("logs|")).collect();
    assert_eq!(followed, ["logs|shop|--data-dir|d|--json|--since=10min|--follow|"]);
}

#[test]
fn why_nothing_is_seen_is_said() {
    let page = serve(false);
    let browser = page.enter();
    browser.await_text("/live", "logs is not there");
    assert!(!browser.get("/live").contains("hx-post"), "what cannot be done is not offered");
}

#[test]
fn a_delivered_event_is_sent_again_with_a_why() {
    let page = serve(true);
    page.says("repeat", &json!({ "outcome": "delivered" }));
    page.says(
        "show",
        &json!({ "event_id": "e-1", "state": "delivered", "messages": [{ "body": "{}" }] }),
    );
    let browser = page.enter();
    assert!(browser.get("/event?q=e-1").contains("value=\"repeat\""));
    let shown = browser.get(&browser.led("/prepare", "act=repeat&event_id=e-1"));
    assert!(shown.contains("repeat shop e-1 --why TEXT"), "{shown}");
    let act = browser.act("act=repeat&event_id=e-1", "restored");
    browser.await_text(&act, "delivered");
    assert_eq!(
        page.acts().pop().unwrap(),
        "repeat|shop|--data-dir|d|--json|--why=restored|--|e-1|"
    );
    // What is kept nowhere cannot be.
    page.says("show", &json!({ "event_id": "e-2", "state": "delivered", "messages": [] }));
    assert!(!browser.get("/event?q=e-2").contains("value=\"repeat\""));
}

#[test]
fn a_dead_letter_is_edited_and_what_changes_is_shown_before() {
    let page = serve(true);
    let body = "{\n  \"a\": 1,\n  \"b\": \"<x>\"\n}";
    page.says(
        "show",
        &json!({ "event_id": "e-1", "state": "dead", "messages": [{ "body": body, "state": "dead" }] }),
    );
    page.says("dlq-show", &json!({ "event_id": "e-1", "body": body }));
    page.says("dlq-edit", &json!({ "sent": true }));
    let browser = page.enter();
    let event = browser.get("/event?q=e-1");
    assert!(event.contains("<textarea") && event.contains("&lt;x&gt;"), "{event}");
    // As a browser sends it.
    let typed = |a: u8| {
        format!(
            "act=edit&event_id=e-1&body=%7B%0D%0A++%22a%22%3A+{a}%2C%0D%0A++%22b%22%3A+%22%3Cx%3E%22%0D%0A%7D"
        )
    };
    let same = browser.led("/prepare", &typed(2));
    let shown = browser.get(&same);
    assert!(shown.contains("<del>-   &quot;a&quot;: 1,"), "{shown}");
    assert!(shown.contains("<ins>+   &quot;a&quot;: 2,") && !shown.contains("<ins>+ {"), "{shown}");
    let unchanged = browser.post("/prepare", &typed(1));
    assert!(unchanged.status == 200 && !unchanged.headers.contains("hx-redirect"));
    let token = same.rsplit('/').next().unwrap();
    let act = browser.led("/begin", &format!("token={token}&why=typo"));
    browser.await_text(&act, "sent");
    assert_eq!(
        page.acts().pop().unwrap(),
        "dlq|edit|shop|--data-dir|d|--json|--body=/dev/stdin|--why=typo|--|e-1|"
    );
    let sent = fs::read_to_string(page.dir.path().join("edited")).unwrap();
    assert_eq!(sent, body.replace(": 1", ": 2"));
}

#[test]
fn dead_letters_are_downloaded_as_the_command_writes_them_and_once() {
    let page = serve(true);
    page.says("dlq-export", &json!({ "event_id": "e-1", "body": "山田" }));
    let browser = page.enter();
    let to = browser.led("/export", "issue=i-4f2a&group=&grep=");
    let answer = page.send("GET", &to, &[("cookie", &browser.cookie)], "");
    assert!(answer.body.contains("山田") && answer.status == 200, "{}", answer.body);
    let name = "content-disposition: attachment; filename=\"dead-letters-shop.jsonl\"";
    assert!(answer.headers.contains(name), "{}", answer.headers);
    assert_eq!(page.acts(), ["dlq|export|shop|--data-dir|d|--json|--issue=i-4f2a|--|-|"]);
    assert_eq!(page.send("GET", &to, &[("cookie", &browser.cookie)], "").status, 404);
    // One that fails is no whole file.
    fs::remove_file(page.dir.path().join("dlq-export.json")).unwrap();
    let to = browser.led("/export", "");
    let failed = page.send("GET", &to, &[("cookie", &browser.cookie)], "");
    assert!(!failed.body.ends_with("0\r\n\r\n"), "{}", failed.body);
}

#[test]
fn a_text_that_names_nothing_is_looked_for() {
    let page = serve(false);
    let browser = page.enter();
    let found = json!({
        "event_id": "e-1", "state": "delivered", "group": "order-7", "place": "body",
        "accepted_at": "2026-01-01T00:00:00.123Z", "excerpt": "<Tanaka>",
    });
    page.says("find", &json!({ "events": [found], "searched": 3, "whole": true }));
    let shown = browser.get("/event?q=tanaka");
    assert!(shown.contains("e-1") && shown.contains("&lt;Tanaka&gt;"), "{shown}");
    assert!(page.acts().contains(&"find|shop|--data-dir|d|--json|--|tanaka|".to_owned()));
    page.says("find", &json!({ "events": [], "searched": 3, "whole": true }));
    let none = browser.get("/event?q=nobody");
    assert!(none.contains("show is not there"), "{none}");
}

/// What a command says of an act, as people say it.
#[test]
fn what_an_act_did_is_said_in_words() {
    let page = serve(true);
    let browser = page.enter();
    let check = |form: &str, name: &str, answer: serde_json::Value, words: &[&str]| {
        page.says(name, &answer);
        let act = browser.act(form, "why");
        let shown = browser.await_text(&act, "<h1>done");
        for word in words {
            assert!(shown.contains(word), "{form}: no {word:?} in {shown}");
        }
    };
    let sent = json!({ "sent": ["a", "b"], "failed": [{ "event_id": "c", "error": "<full>" }],
        "passed_over": [], "groups_passed_over": 3 });
    let said =
        ["again</dt><dd>2<", "stayed behind</dt><dd>1<", "c: &lt;full&gt;", "stay</dt><dd>3<"];
    check("act=redrive&event_id=a", "dlq-redrive", sent, &said);
    let dropped = json!({ "dropped": ["a"], "file": "dropped-1.jsonl" });
    let here = std::env::current_dir().unwrap().join("dropped-1.jsonl");
    check(
        "act=drop&event_id=a",
        "dlq-drop",
        dropped,
        &["Dropped</dt><dd>1<", here.to_str().unwrap()],
    );
    let resting = json!({ "groups": [{ "group": "k", "result": "resting", "messages": null,
        "next_attempt_at": "2027-01-15T12:00:00Z" }] });
    let said = ["asked by Retry-After", "<time datetime=\"2027-01-15T12:00:00Z\">"];
    check("act=retry&key=k", "retry", resting, &said);
    let skipped = json!({ "event_id": "a", "outcome": "delivered" });
    check("act=skip&event_id=a", "skip", skipped, &["was delivered after all"]);
    let paused = json!({ "state": "paused", "waiting": 7, "resumes_at": null });
    check("act=pause&minutes=", "pause", paused, &["Waiting</dt><dd>7<"]);
}

#[test]
fn an_act_in_the_audit_log_is_one_row_with_its_result() {
    let page = serve(false);
    let line = |at: &str, action: &str, what: serde_json::Value| json!({ "at": at, "by": "kei", "action": action, "reason": "r", "what": what });
    let (one, two) = ("2027-01-15T12:00:00Z", "2027-01-15T13:00:00Z");
    let log = [
        line(one, "pause", json!({ "state": "started", "started_at": one })),
        line(
            two,
            "pause",
            json!({ "state": "ended", "started_at": one, "result": "failed", "error": "E" }),
        ),
        line(two, "dlq drop", json!({ "state": "started", "started_at": two })),
        line(two, "skip", json!({})),
    ];
    let lines = log.map(|line| line.to_string()).join("\n");
    fs::write(page.dir.path().join("dlq-log.json"), lines).unwrap();
    let acts = page.enter().get("/acts");
    assert_eq!(acts.matches("<tr>").count(), 1 + 3, "{acts}");
    assert_eq!(acts.matches("\">pause</td>").count(), 1, "{acts}");
    assert!(acts.contains("failed, or done in part: E"), "{acts}");
    assert!(acts.contains("no end is known") && acts.contains("\">done</td>"), "{acts}");
}

#[test]
fn production_is_named_and_an_act_there_says_so() {
    for (production, named) in [(json!(true), true), (json!(false), false), (json!(null), false)] {
        let page = serve(true);
        page.says(
            "status",
            &json!({ "verdict": { "kind": "nothing_to_do" }, "production": production }),
        );
        page.says("dlq-log", &json!({}));
        let browser = page.enter();
        browser.await_text("/", "Nothing to do");
        for path in ["/", "/acts"] {
            let shown = browser.get(path);
            assert_eq!(shown.contains("PRODUCTION"), named, "{path}: {shown}");
            assert_eq!(shown.contains("<header class=\"production\">"), named, "{path}: {shown}");
        }
        let shown = browser.get(&browser.led("/prepare", "act=pause&minutes="));
        assert_eq!(shown.contains("Do it (in production: shop)"), named, "{shown}");
    }
}

#[test]
fn a_verdict_is_said_in_the_viewers_language() {
    let page = serve(false);
    page.says(
        "status",
        &json!({ "verdict": {
            "kind": "act", "sentence": "You: look", "waits": [],
            "findings": [
                { "kind": "key_blocked", "since": "2027-01-15T12:00:00Z", "key": "<k>", "reason": "422" },
                { "kind": "observed", "condition": "Restarts", "figure": 4 },
                { "kind": "of a newer version" },
            ],
            "unknown": [{ "what": "loss_meter", "why": "timeout" }],
        } }),
    );
    let browser = page.enter();
    browser.await_text("/", "You: look");
    let headers = [("cookie", browser.cookie.as_str()), ("accept-language", "ja")];
    let japanese = page.send("GET", "/", &headers, "").body;
    for text in [
        "キー&lt;k&gt;は<time datetime=\"2027-01-15T12:00:00Z\">2027-01-15T12:00:00Z</time>から判断を待っています(422)",
        "エンジンが最近4回起動しました",
        "<p>of a newer version</p>",
        "不明: 不明なイベントの数 (timeout)",
    ] {
        assert!(japanese.contains(text), "{text}: {japanese}");
    }
}

#[test]
fn what_goes_where_is_shown() {
    let page = serve(false);
    page.says(
        "routes",
        &json!({ "routes": [{
            "route": "sss", "paths": ["/hook"], "url": null, "ordering_key": "$request.body.id",
            "verify": "github", "destinations": [{ "destination": "a", "origin": "https://a.example" }],
            "retry": { "initial_delay_seconds": 2, "max_delay_seconds": 300 },
            "give_up_after_seconds": 259_200, "on_reject": "block",
            "test_event": { "command": "curl 'x'", "cannot": null },
        }, {
            "route": "signed", "paths": ["/signed"], "test_event": { "command": null, "cannot": {
                "kind": "lacks", "what": "$request.body.<id>", "text": "an event without <id> is refused",
            } },
        }], "unknown": ["url (somewhere)"] }),
    );
    let browser = page.enter();
    let shown = browser.get("/routes");
    for text in [
        "<span lang=\"en\">an event without &lt;id&gt; is refused</span>",
        "/hook",
        "$request.body.id",
        "github",
        "https://a.example",
        "2 s – 5 min 0 s",
        "3 d 0 h",
        "blocked",
        "curl 'x'",
        "url (somewhere)",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(!shown.contains("hx-post"), "{shown}");
    let headers = [("cookie", browser.cookie.as_str()), ("accept-language", "ja")];
    let japanese = page.send("GET", "/routes", &headers, "").body;
    assert!(
        japanese.contains("$request.body.&lt;id&gt;のないイベントは拒否されます"),
        "{japanese}"
    );
    assert_eq!(page.acts(), [""; 0], "it changes nothing: {:?}", page.acts());
}

#[test]
fn a_test_event_is_shown_whole_with_who_gets_it_before_it_is_sent() {
    let page = serve(true);
    let test_event = json!({ "command": "curl 'x'", "cannot": null });
    page.says(
        "routes",
        &json!({ "routes": [{ "route": "sss", "paths": ["/hook"], "test_event": test_event }] }),
    );
    page.says(
        "send",
        &json!({
            "url": "http://127.0.0.1:8080/hook", "destinations": { "crm": "https://crm.example.com" },
            "headers": { "x-order": "<key-1>" }, "body": "{\"test_event\":true}",
            "status": 200, "event_id": "e-1",
        }),
    );
    let browser = page.enter();
    let shown = browser.get("/routes");
    assert!(shown.contains("value=\"send\"") && shown.contains("value=\"sss\""), "{shown}");
    let shown = browser.get(&browser.led("/prepare", "act=send&name=sss"));
    for text in [
        "https://crm.example.com",
        "x-order: &lt;key-1&gt;",
        "{&quot;test_event&quot;:true}",
        "send shop --route sss --why TEXT --yes",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let act = browser.act("act=send&name=sss", "new route");
    browser.await_text(&act, "href=\"/event?q=e-1\"");
    let rehearsed = "send|shop|--data-dir|d|--json|--route=sss|--dry-run|".to_owned();
    let sent = "send|shop|--data-dir|d|--json|--route=sss|--why=new route|--yes|".to_owned();
    assert_eq!(page.acts(), [rehearsed, sent]);
    assert!(browser.post("/prepare", "act=send&name=+").body.contains("no route is named"));
}

#[test]
fn within_a_retry_after_nobody_is_offered_to_call() {
    let page = serve(true);
    let key = |name: &str, until: serde_json::Value| json!({ "group": name, "event_id": "e", "why": "retry", "not_before": until });
    page.says(
        "blocked",
        &json!({ "groups": [key("rests", json!("2027-01-15T12:00:00Z")), key("goes", json!(null))] }),
    );
    let browser = page.enter();
    let keys = browser.get("/keys");
    assert_eq!(keys.matches("value=\"retry\"").count(), 1, "{keys}");
    // All is what may be called.
    let shown = browser.get(&browser.led("/prepare", "act=retry_all"));
    assert!(shown.contains("retry shop goes --why TEXT</pre>"), "{shown}");
    assert!(keys.contains("(until <time datetime=\"2027-01-15T12:00:00Z\">"), "{keys}");
    page.says(
        "show",
        &json!({
            "event_id": "e", "state": "retrying", "group": "rests", "not_before": "2027-01-15T12:00:00Z",
            "can_do": [
                { "kind": "skip", "what": "take it out", "command": "skip shop e" },
                { "kind": "of a newer version", "what": "dance", "command": null },
            ],
        }),
    );
    let headers = [("cookie", browser.cookie.as_str()), ("accept-language", "ja")];
    let event = page.send("GET", "/event?q=e", &headers, "").body;
    assert!(!event.contains("value=\"retry\"") && event.contains("value=\"skip\""), "{event}");
    assert!(event.contains("キーから外し") && !event.contains("take it out"), "{event}");
    assert!(event.contains("<span lang=\"en\">dance</span>"), "{event}");
}

/// On AWS a look is a receive: one for each click that asks for one, which everybody shares.
#[test]
fn on_aws_dead_letters_are_looked_at_when_somebody_asks_and_not_by_a_link() {
    let page = serve_of(true, true);
    page.says("dlq-issues", &json!({ "issues": [], "dead_letters": 1 }));
    page.says("dlq-list", &json!([{ "event_id": "e-1", "group": "k" }]));
    page.says("dlq-redrive", &json!({ "would_send": [] }));
    let browser = page.enter();
    let looks = || page.acts().iter().filter(|call| call.starts_with("dlq|")).count();
    assert!(!browser.get("/dead-letters").contains("e-1"));
    assert_eq!(looks(), 0, "{:?}", page.acts());
    assert!(browser.get("/dead-letters?look=now").contains("e-1"));
    assert_eq!(looks(), 2, "{:?}", page.acts());
    assert!(browser.get("/dead-letters").contains("e-1"), "what was seen is shown again");
    assert_eq!(looks(), 2, "{:?}", page.acts());
    let prepared = browser.led("/prepare", "act=redrive");
    assert_eq!(looks(), 2, "those that somebody has looked at: {:?}", page.acts());
    assert!(browser.get(&prepared).contains("Do it"));
    assert_eq!(looks(), 2, "a rehearsal receives as well: {:?}", page.acts());
    browser.get("/dead-letters?look=now");
    assert_eq!(looks(), 4, "{:?}", page.acts());
}

/// What is typed wrongly is told on a page, as everything else.
#[test]
fn what_is_mistyped_is_told_on_a_page() {
    let page = serve(true);
    page.says("dlq-log", &json!({}));
    let browser = page.enter();
    for path in ["/?back=week", "/history?back=week", "/live?paused=maybe"] {
        let answer = page.send("GET", path, &[("cookie", &browser.cookie)], "");
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.body.contains("There is no such page"), "{path}: {}", answer.body);
        assert!(answer.body.contains("<nav") && !answer.body.contains("data-live"), "{path}");
    }
    let prepared = browser.led("/prepare", "act=retry&key=k");
    let token = prepared.rsplit('/').next().unwrap();
    let told = browser.post("/begin", &format!("token={token}&why=a%00b")).body;
    assert!(told.contains("a NUL character stands in it"), "{told}");
}

/// What cannot even be rehearsed is not offered.
#[test]
fn an_act_whose_rehearsal_fails_cannot_be_confirmed() {
    let page = serve(true);
    let browser = page.enter();
    let shown = browser.get(&browser.led("/prepare", "act=redrive&event_id=e-1"));
    assert!(shown.contains("dlq-redrive is not there"), "{shown}");
    assert!(!shown.contains("hx-post=\"/begin\"") && !shown.contains("Do it"), "{shown}");
    page.says("dlq-redrive", &json!({ "would_send": [] }));
    let shown = browser.get(&browser.led("/prepare", "act=redrive&event_id=e-2"));
    assert!(shown.contains("hx-post=\"/begin\""), "{shown}");
}

/// What is asked by words that are shown alike is not answered alike.
#[test]
fn a_look_is_shared_by_those_only_who_ask_the_same() {
    let page = serve(false);
    page.says("show", &json!({ "event_id": "e", "state": "waiting" }));
    let browser = page.enter();
    assert!(browser.get("/event?q=%00").contains("a NUL character cannot be looked for"));
    assert!(!browser.get("/event?q=%EF%BF%BD").contains("NUL"));
}

/// Bytes that a browser fetches for a screen, its scripts and styles among them.
#[test]
fn no_screen_weighs_more_than_150_kb() {
    const BYTES_MAX: usize = 150_000;
    let page = serve(true);
    page.says("history", &history(1_440));
    let letter = |n: u64| {
        json!({
            "event_id": format!("01a21cb5-d0ab-70bd-{:04x}-{:012x}", n * 7_919 % 65_536, n * 2_654_435_761 % (1 << 40)),
            "group": format!("order-{}", n % 300), "reason": "rejected", "status": 422, "attempts": 1,
            "accepted_at": format!("2027-01-15T12:{:02}:{:02}.123Z", n / 60 % 60, n % 60),
            "dead_since": format!("2027-01-15T12:{:02}:{:02}.456Z", n / 60 % 60, n % 60),
        })
    };
    page.says("dlq-list", &(0..1_000).map(letter).collect());
    page.says("dlq-issues", &json!({ "issues": [], "dead_letters": 1_000 }));
    page.says("blocked", &json!({ "groups": (0..1_000).map(letter).collect::<Vec<_>>() }));
    let log: String =
        (0..200).map(|n| logged("delivered", letter(n)["event_id"].as_str().unwrap())).collect();
    fs::write(page.dir.path().join("logs.json"), log).unwrap();
    let browser = page.enter();
    browser.await_text("/live", "delivered");
    let weighs = |path: &str| {
        let headers = [("cookie", browser.cookie.as_str()), ("accept-encoding", "br, gzip")];
        page.fetched_bytes(path, &headers)
    };
    let assets = |charts: bool| {
        let all = ["/htmx.js", "/page.js", "/page.css", "/uplot.js", "/uplot.css"];
        all.iter().take(if charts { 5 } else { 3 }).map(|it| weighs(it)).sum::<usize>()
    };
    for (path, charts) in [
        ("/", true),
        ("/?back=day", true),
        ("/keys", false),
        ("/dead-letters", false),
        ("/live", false),
        ("/event", false),
        ("/refused", false),
        ("/routes", false),
        ("/acts", false),
    ] {
        let bytes = weighs(path) + assets(charts);
        println!("{path}: {bytes}");
        assert!(bytes < BYTES_MAX, "{path} weighs {bytes}");
    }
}

#[test]
fn who_does_not_take_it_compressed_gets_it_as_it_is_and_news_never_wait() {
    let page = serve(true);
    let browser = page.enter();
    let cookie = ("cookie", browser.cookie.as_str());
    for accepts in ["", "br", "gzip;q=0", "x-gzip-not"] {
        let answer = page.send("GET", "/", &[cookie, ("accept-encoding", accepts)], "");
        assert!(answer.body.contains("4711") && !answer.headers.contains("content-encoding"));
    }
}
