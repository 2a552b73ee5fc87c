//! The page as people use it: in a browser, with the mouse and with the keyboard, on an engine that delivers.

mod browser;
mod incidents;
mod pictures;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

use self::browser::{Browser, Window};
use crate::stage::{Stage, dead, is_done};

/// A page that is served. It ends when dropped.
struct Served {
    url: String,
    door: String,
    _program: Child,
}

impl Served {
    async fn start(stage: &Stage, words: &str) -> Self {
        let mut program = stage.begin(&format!("page local --no-open {words}"));
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("it says where it is");
        let second = lines.next_line().await.unwrap().expect("it says how to be let in");
        let url = first.split(' ').find(|word| word.starts_with("http://")).unwrap();
        let door = second.strip_prefix("to be let in, open ").unwrap();
        Self { url: url.to_owned(), door: format!("file://{door}"), _program: program }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    /// A browser that was let in.
    async fn enter(&self, window: Window) -> Option<Browser> {
        let browser = Browser::open(window).await?;
        browser.go(&self.door).await;
        browser.until("the first screen", |text| text.contains("local")).await;
        browser.press("nav a[aria-current=page]").await;
        Some(browser)
    }
}

/// The button that prepares an act, maybe of one event or key only.
fn button(act: &str, of: &str) -> String {
    let of = if of.is_empty() { String::new() } else { format!(":has(input[value='{of}'])") };
    format!("form:has(input[name=act][value={act}]){of} button")
}

/// What the service got, in its order.
#[derive(Debug, Clone, Default)]
struct Got(Arc<Mutex<Vec<String>>>);

impl Got {
    /// The service refuses what has this text as long as `refuses` is set, and takes everything else.
    fn refusing(&self, stage: &Stage, text: &'static str) -> Arc<Mutex<bool>> {
        let (got, refuses) = (self.clone(), Arc::new(Mutex::new(true)));
        let still = Arc::clone(&refuses);
        stage.answer(move |attempt| {
            if *still.lock().unwrap() && attempt.body.contains(text) {
                return (422, r#"{"error":"unknown state"}"#);
            }
            got.0.lock().unwrap().push(attempt.body.to_owned());
            (200, "{}")
        });
        refuses
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_key_is_looked_at_and_skipped_and_the_next_is_delivered() {
    let stage = Stage::start(json!({ "on_reject": "block" })).await;
    let got = Got::default();
    got.refusing(&stage, "poison");
    let is_blocked = |status: &Value| status["queue"]["waiting_groups"] == 1;
    stage.post("order-7", r#"{"state":"poison"}"#, is_blocked).await;
    stage.post("order-7", r#"{"state":"approved"}"#, |status| status["queue"]["events"] == 2).await;
    let served = Served::start(&stage, "--act").await;
    let Some(browser) = served.enter(Window::default()).await else { return };
    browser.until("who must act", |text| text.contains("order-7")).await;

    browser.go(&served.at("/keys")).await;
    browser.until("why", |text| text.contains("422") && text.contains("order-7")).await;
    browser.press("td a[href^='/event']:not([href*=order])").await;
    browser.until("the body", |text| text.contains("poison")).await;
    browser.press(&button("skip", "")).await;
    browser.fill("input[name=why]", "a test order").await;
    let asked = browser.text().await;
    assert!(asked.contains("skip local ") && asked.contains("--why"), "the command: {asked}");
    browser.press("form[hx-post='/begin'] button").await;
    stage.until(is_done).await;
    stage.until(dead(1)).await;
    assert_eq!(got.all(), [r#"{"state":"approved"}"#]);
    browser.go(&served.at("/acts")).await;
    browser
        .until("who did what", |text| text.contains("owner") && text.contains("a test order"))
        .await;
    browser.go(&served.at("/")).await;
    browser.until("what it has become", |text| text.contains("1 dead letter waits")).await;

    let elsewhere = |url: &&String| {
        let known = ["file:", "data:", "chrome:", served.url.trim_end_matches('/')];
        !known.iter().any(|known| url.starts_with(known))
    };
    let requested = browser.requested().await;
    assert!(requested.iter().any(|url| url.ends_with("/htmx.js")), "{requested:?}");
    assert_eq!(requested.iter().filter(elsewhere).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_event_is_sent_and_its_story_read() {
    let stage = Stage::start(json!({})).await;
    let got = Got::default();
    got.refusing(&stage, "poison");
    let served = Served::start(&stage, "--act").await;
    let Some(browser) = served.enter(Window::default()).await else { return };
    browser.press("nav a[href='/routes']").await;
    browser.press(&button("send", "")).await;
    browser.until("who gets it", |text| text.contains("http://127.0.0.1:")).await;
    browser.fill("input[name=why]", "a new route").await;
    assert_eq!(got.all(), Vec::<String>::new());
    browser.press("form[hx-post='/begin'] button").await;
    browser.press("dd a[href^='/event']").await;
    browser.until("the event's story", |text| text.contains("delivered")).await;
    stage.until(is_done).await;
    assert!(matches!(&got.all()[..], [body] if body.contains("test_event")), "{:?}", got.all());
    browser.press("nav a[href='/acts']").await;
    browser.until("who did it", |text| text.contains("a new route")).await;
}

/// What somebody else on this machine, who has these headers to show, is answered.
async fn answered(served: &Served, request: &str, headers: &str) -> String {
    let address = served.url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_and_another_port_of_this_machine_do_nothing() {
    let stage = Stage::start(json!({})).await;
    let served = Served::start(&stage, "--act").await;
    let door = served.door.strip_prefix("file://").unwrap();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(door).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    if rustix::process::getuid().is_root() {
        let mut other = tokio::process::Command::new("cat");
        // Source: Debian base-passwd, `nobody`.
        let read = other.arg(door).uid(65_534).gid(65_534).output().await.unwrap();
        assert!(!read.status.success() && read.stdout.is_empty());
    } else {
        println!("passed over: only root can be another user");
    }
    assert!(answered(&served, "GET /", "").await.starts_with("HTTP/1.1 401"));

    let Some(browser) = served.enter(Window::default()).await else { return };
    let secrets = browser.eval("return localStorage.length").await;
    assert_eq!(secrets, 1, "what acts is where only this origin finds it");
    // Another program's page, which the browser is sent to.
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = format!("http://{}/", other.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let (stream, _) = other.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            stream.read_line(&mut head).await.unwrap();
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\nconnection: close\r\n\r\nother";
        stream.write_all(answer.as_bytes()).await.unwrap();
        head
    });
    browser.go(&elsewhere).await;
    browser.until("the other's page", |text| text.contains("other")).await;
    assert_eq!(browser.eval("return localStorage.length").await, 0);
    let head = seen.await.unwrap().to_ascii_lowercase();
    let cookie = head.lines().find(|line| line.starts_with("cookie: "));
    // Cookies ignore ports, so it may see what the page shows; it begins nothing.
    let Some(cookie) = cookie else { return };
    let origin = served.url.trim_end_matches('/');
    for guess in ["", "x-act: \r\n", "x-act: 0123456789abcdef0123456789abcdef\r\n"] {
        let headers = format!(
            "{cookie}\r\norigin: {origin}\r\n{guess}content-type: application/x-www-form-urlencoded\r\n\
             content-length: 0\r\n"
        );
        for path in ["/prepare", "/begin", "/export", "/acts/1/stop"] {
            let answer = answered(&served, &format!("POST {path}"), &headers).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
        }
    }
    assert!(stage.run("dlq log local --json").await.is_empty(), "nothing was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_an_id_of_its_own_is_found_by_its_request_s() {
    let stage = Stage::start(json!({ "event_id": "$request.header.x-workflow-id" })).await;
    stage.answer(|_| (503, ""));
    let answer = stage.offer("evt-7", "{}").await.to_ascii_lowercase();
    let request_id = answer.split("apigw-requestid: ").nth(1).unwrap().lines().next().unwrap();
    let served = Served::start(&stage, "").await;
    let Some(browser) = served.enter(Window::default()).await else { return };
    browser.press("nav a[href='/event']").await;
    browser.fill("input[name=q]", request_id).await;
    browser.press("form[role=search] button").await;
    browser.until("in what it was found", |text| text.contains("deduplication id")).await;
    browser.press("td a[href='/event?q=evt-7']").await;
    browser.until("its story", |text| text.contains("503") && text.contains("evt-7")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_rejected_are_one_issue_and_go_out_again_in_order() {
    let stage = Stage::start(json!({})).await;
    let got = Got::default();
    let refuses = got.refusing(&stage, "approved");
    for number in 0..300 {
        let body = json!({ "state": "approved", "number": number }).to_string();
        assert!(
            stage.offer(&format!("order-{}", number % 30), &body).await.starts_with("HTTP/1.1 200")
        );
    }
    stage.until(dead(300)).await;
    *refuses.lock().unwrap() = false;
    let served = Served::start(&stage, "--act").await;
    let Some(browser) = served.enter(Window::default()).await else { return };
    let Some(other) = Browser::open(Window { language: "ja", ..Window::default() }).await else {
        return;
    };

    browser.go(&served.at("/dead-letters")).await;
    let text = browser.until("the issue", |text| text.contains("i-")).await;
    let issues: Vec<Value> = serde_json::from_str::<Value>(
        &stage.run("dlq issues local --json").await,
    )
    .unwrap()["issues"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(issues.len(), 1);
    assert!(text.contains(issues[0]["name"].as_str().unwrap()) && text.contains("300"), "{text}");
    browser.press(&format!("tr:has(a[href*='issue=i-']) {}", button("redrive", ""))).await;
    browser.fill("input[name=why]", "fixed in 4.3").await;
    browser.fill("input[name=number]", "299").await;
    browser.press("form[hx-post='/begin'] button").await;
    browser.until("that it was miscounted", |text| text.contains("not how many")).await;
    assert_eq!(got.all(), Vec::<String>::new());
    browser.fill("input[name=number]", "\u{e003}\u{e003}\u{e003}300").await;
    browser.press("form[hx-post='/begin'] button").await;

    // A second one sees it as well, from its own door.
    let again = Served::start(&stage, "").await;
    other.go(&again.door).await;
    stage.until(|status| is_done(status) && status["dead_letters"]["count"] == 0).await;
    let number =
        |body: &String| serde_json::from_str::<Value>(body).unwrap()["number"].as_u64().unwrap();
    let numbers: Vec<u64> = got.all().iter().map(number).collect();
    assert_eq!(numbers.len(), 300);
    for key in 0..30 {
        let of_key: Vec<u64> =
            numbers.iter().copied().filter(|number| number % 30 == key).collect();
        assert!(of_key.is_sorted(), "key {key}: {of_key:?}");
    }
    browser.go(&served.at("/")).await;
    browser.until("that nothing is left", |text| text.contains("Nothing to do")).await;
    other.go(&again.at("/acts")).await;
    other.until("the other's act", |text| text.contains("fixed in 4.3")).await;
    // Who only looks has nothing to press.
    assert_eq!(other.eval("return document.querySelectorAll('form[hx-post]').length").await, 0);
    assert_eq!(other.eval("return document.documentElement.lang").await, "ja");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_senders_wrote_is_text_however_it_looks_and_however_long_it_is() {
    let stage = Stage::start(json!({})).await;
    stage.answer(|_| (422, "<img src=x onerror=\"document.title='run'\">"));
    let script =
        "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">";
    let long = "受注の進捗を確認してください。".repeat(6_000);
    for (key, body) in [("script", script), ("long", &long), ("broken", r#"{"state": "#)] {
        assert!(stage.offer(key, body).await.starts_with("HTTP/1.1 200"));
    }
    stage.until(dead(3)).await;
    let served = Served::start(&stage, "--act").await;
    let narrow = Window { width: 390, ..Window::default() };
    let Some(browser) = served.enter(narrow).await else { return };
    let letters: Value = serde_json::from_str(&stage.run("dlq list local --json").await).unwrap();
    for (key, part) in [("script", script), ("long", &long[..300]), ("broken", r#"{"state":"#)] {
        let letter = letters.as_array().unwrap().iter().find(|it| it["group"] == key).unwrap();
        browser.go(&served.at(&format!("/event?q={}", letter["event_id"].as_str().unwrap()))).await;
        browser.until(key, |text| text.contains(part) && text.contains("onerror")).await;
    }
    for path in ["/", "/keys", "/dead-letters", "/event", "/refused", "/acts"] {
        browser.go(&served.at(path)).await;
        browser.until(path, |text| text.contains("local")).await;
        let width = browser.eval("return document.documentElement.scrollWidth").await;
        assert!(width.as_u64().unwrap() <= 390, "{path} is {width} wide");
        assert_ne!(browser.eval("return document.title").await, "run", "{path}");
        let grown = "return document.querySelectorAll('main script, main img').length";
        assert_eq!(browser.eval(grown).await, 0, "{path}");
    }
}

/// Whether a person reads each of these figures somewhere.
fn missing_of<'a>(text: &str, figures: &[&'a Value]) -> Vec<&'a Value> {
    let is_missing = |figure: &&&Value| {
        let said = figure.as_str().map_or_else(|| figure.to_string(), str::to_owned);
        !text.contains(&said)
    };
    figures.iter().filter(is_missing).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_says_what_the_commands_say_also_once_the_engine_is_back() {
    let mut stage = Stage::start(json!({ "on_reject": "block" })).await;
    stage.answer(
        |attempt| if attempt.body.contains("down") { (503, "") } else { (422, "no such order") },
    );
    stage.post("blocked", "poison", |status| status["queue"]["waiting_groups"] == 1).await;
    stage.post("waits", "down", |status| status["queue"]["waiting_groups"] == 2).await;
    let served = Served::start(&stage, "").await;
    let Some(browser) = served.enter(Window::default()).await else { return };
    let said = async |stage: &Stage, words: &str| -> Value {
        serde_json::from_str(&stage.run(&format!("{words} --json")).await).unwrap()
    };
    for is_back in [false, true] {
        if is_back {
            stage.stop_engine().await;
            browser.go(&served.at("/keys")).await;
            browser.until("that it is down", |text| text.contains("no engine")).await;
            stage.start_engine().await;
            // The screen that was open follows by itself.
            browser.until("the keys", |text| text.contains("waits")).await;
        }
        let blocked = said(&stage, "blocked local").await;
        browser.go(&served.at("/keys")).await;
        let text = browser.until("the keys", |text| text.contains("waits")).await;
        for group in blocked["groups"].as_array().unwrap() {
            let figures = ["group", "event_id", "reason", "behind"].map(|field| &group[field]);
            assert_eq!(missing_of(&text, &figures), Vec::<&Value>::new(), "{text}");
        }
        let event = &blocked["groups"][0]["event_id"];
        let show = said(&stage, &format!("show local {}", event.as_str().unwrap())).await;
        browser.go(&served.at(&format!("/event?q={}", event.as_str().unwrap()))).await;
        let text = browser.until("the event", |text| text.contains("poison")).await;
        let message = &show["messages"][0];
        let figures = [&show["event_id"], &show["route"], &show["group"], &message["body"]];
        assert_eq!(missing_of(&text, &figures), Vec::<&Value>::new(), "{text}");
        let status = said(&stage, "status local").await;
        browser.go(&served.at("/")).await;
        let text = browser.until("the figures", |text| text.contains("sss")).await;
        let accepted = &status["loss_meter"]["routes"]["sss"]["accepted"];
        let figures = [&status["queue"]["events"], accepted, &status["dead_letters"]["count"]];
        assert_eq!(missing_of(&text, &figures), Vec::<&Value>::new(), "{text}");
    }
}

/// A fault that keeps somebody out is none of taste. Source: axe-core, "impact".
const KEEPS_OUT: [&str; 2] = ["serious", "critical"];

#[tokio::test(flavor = "multi_thread")]
async fn no_screen_keeps_anybody_out() {
    let Some(axe) = axe().await else { return };
    let stage = Stage::start(json!({ "on_reject": "block" })).await;
    stage.answer(|_| (422, "no such order"));
    stage.post("order-7", "poison", |status| status["queue"]["waiting_groups"] == 1).await;
    stage.run("skip local order-7 --why test").await;
    for is_dark in [false, true] {
        let served = Served::start(&stage, "--act").await;
        let Some(browser) = served.enter(Window { is_dark, ..Window::default() }).await else {
            return;
        };
        for path in ["/", "/keys", "/dead-letters", "/event?q=order-7", "/refused", "/acts"] {
            browser.go(&served.at(path)).await;
            browser.until(path, |text| text.contains("local")).await;
            // As the browser's own tools do it: the page's policy lets no script of others in.
            let run = format!("{axe}\naxe.run().then((found) => JSON.stringify(found))");
            let parameters = json!({ "expression": run, "awaitPromise": true });
            let answer = browser.devtools("Runtime.evaluate", &parameters).await;
            let found = answer["result"]["value"].as_str().unwrap_or_else(|| panic!("{answer}"));
            let found: Value = serde_json::from_str(found).unwrap();
            assert!(found["passes"].as_array().unwrap().len() > 10, "{path}: it has looked");
            let found = found["violations"].as_array().unwrap();
            let keeps_out =
                |it: &&Value| KEEPS_OUT.contains(&it["impact"].as_str().unwrap_or_default());
            let told = |it: &Value| format!("{}: {}", it["help"], it["nodes"][0]["html"]);
            let found: Vec<String> = found.iter().filter(keeps_out).map(told).collect();
            assert_eq!(found, Vec::<String>::new(), "{path}, dark: {is_dark}");
        }
    }
}

/// The checks of axe-core, from npm's registry; `None`, with a word, where it cannot be had.
async fn axe() -> Option<String> {
    const PACKAGE: &str = "axe-core@4.14.1";
    let dir = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let script = dir.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        std::fs::create_dir_all(&dir).unwrap();
        let mut npm = tokio::process::Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", PACKAGE, "--prefix"]).arg(&dir);
        if !npm.status().await.is_ok_and(|status| status.success()) {
            println!("skipped: {PACKAGE} cannot be had by npm");
            return None;
        }
    }
    Some(std::fs::read_to_string(script).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_used_by_keyboard_alone_and_read_without_a_script() {
    const ENTER: &str = "\u{e007}";
    let stage = Stage::start(json!({ "on_reject": "block" })).await;
    let got = Got::default();
    got.refusing(&stage, "poison");
    stage.post("order-7", "poison", |status| status["queue"]["waiting_groups"] == 1).await;
    let served = Served::start(&stage, "--act").await;
    let Some(browser) = served.enter(Window { is_dark: true, ..Window::default() }).await else {
        return;
    };
    browser.go(&served.at("/keys")).await;
    // From the top of the page to the button, as Tab goes.
    let is_there = "return document.activeElement.form?.elements.act?.value === 'skip'";
    let mut pressed = 0;
    while browser.eval(is_there).await != true {
        browser.tab().await;
        pressed += 1;
        assert!(pressed < 60, "it is reached by Tab");
        let outline = "return getComputedStyle(document.activeElement).outlineStyle";
        assert_ne!(browser.eval(outline).await, "none", "it is seen where one is");
    }
    browser.fill(":focus", ENTER).await;
    // The field for the why has the focus.
    browser.until("the question", |text| text.contains("skip local ")).await;
    browser.fill("input[name=why]:focus", &format!("a test order{ENTER}")).await;
    stage.until(dead(1)).await;
    assert_eq!(got.all(), Vec::<String>::new());

    let plain = Window { has_script: false, ..Window::default() };
    let only_shown = Served::start(&stage, "").await;
    let Some(plain) = only_shown.enter(plain).await else { return };
    let text = plain.until("the verdict", |text| text.contains("1 dead letter waits")).await;
    assert!(text.contains("UTC") || text.contains('Z'), "times as the queue has them: {text}");
}
