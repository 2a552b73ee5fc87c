//! A person is told of what needs one: once when it begins and once when it is over, whatever the
//! receiver does, and never at the cost of a delivery. The URL, which is a secret, is shown nowhere.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::time::Timestamp;
use engine::clock::{Clock, Uptime, Wait};
use engine::{Engine, EngineOptions, Storage};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::support::function::Function;
use crate::support::program::Program;
use crate::support::service::{Behavior, Service};
use crate::support::{LogLines, api_client, config, get, http_client, options, post, set_enabled};

/// It ends with letters that no id has, which are hexadecimal.
const PLANTED: &str = "planted-token-zqxw";

/// A clock by which ten minutes are a second.
struct FastClock {
    began: Instant,
}

const TIMES: u32 = 600;

impl Clock for FastClock {
    fn wall(&self) -> Timestamp {
        "2027-01-15T08:00:00Z".parse::<Timestamp>().unwrap().plus(self.uptime().since_start())
    }

    fn uptime(&self) -> Uptime {
        Uptime::from_start(self.began.elapsed() * TIMES)
    }

    fn boot(&self) -> Option<String> {
        Some("the only one".to_owned())
    }

    fn wait_until(&self, time: Uptime) -> Wait<'_> {
        Box::pin(tokio::time::sleep(time.since(self.uptime()) / TIMES))
    }

    fn wait_until_wall(&self, time: Timestamp) -> Wait<'_> {
        Box::pin(tokio::time::sleep(time.since(self.wall()) / TIMES))
    }
}

fn fast_clock() -> Arc<dyn Clock> {
    Arc::new(FastClock { began: Instant::now() })
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn receiver(behavior: Behavior) -> Service {
    Service::start(any_port(), behavior).await
}

fn url(receiver: &Service) -> String {
    format!("http://{}/services/{PLANTED}?t={PLANTED}", receiver.address)
}

fn notified(receiver: &Service) -> Value {
    config(json!({
        "notify": { "url": url(receiver), "format": "plain" },
        // By the fast clock, as all of the engine.
        "forwarder": { "function_timeout_seconds": 900 },
    }))
}

/// An engine with a function that takes everything, and a log to look into.
struct Setup {
    dir: tempfile::TempDir,
    clock: Arc<dyn Clock>,
    log: LogLines,
    function: Function,
}

impl Setup {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: fast_clock(),
            log: LogLines::default(),
            function: Function::new("all ok"),
        }
    }

    fn options(&self, config: &Value) -> EngineOptions {
        let mut options = options(config, Some(self.dir.path()));
        options.clock = Arc::clone(&self.clock);
        options.log = Box::new(self.log.clone());
        options.forwarder = Some(self.function.executable());
        options
    }

    async fn start(&self, config: &Value) -> Engine {
        Engine::start(self.options(config)).await.unwrap()
    }

    /// The same where another engine has just been dropped, whose threads take a moment to end.
    async fn start_once_free(&self, config: &Value) -> Engine {
        self.start_once_free_in(self.dir.path(), config).await
    }

    async fn start_once_free_in(&self, dir: &Path, config: &Value) -> Engine {
        let limit = Instant::now() + Duration::from_mins(1);
        loop {
            let mut options = self.options(config);
            options.storage = Storage::Directory(dir.to_owned());
            match Engine::start(options).await {
                Ok(engine) => return engine,
                Err(error) => assert!(Instant::now() < limit, "{error}"),
            }
        }
    }

    /// Nothing that is kept or said shows the URL.
    fn shows_no_url(&self) {
        let log = serde_json::to_string(&self.log.all()).unwrap();
        assert!(!log.contains("zqxw"), "{log}");
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            // The rest is queues, and files of the reserve.
            if path.extension().is_some_and(|it| it == "log" || it == "json") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(!text.contains("zqxw"), "{}: {text}", path.display());
            }
        }
    }
}

async fn metrics(engine: &Engine) -> String {
    let url = format!("http://{}/metrics", engine.api_address());
    http_client().get(url).send().await.unwrap().text().await.unwrap()
}

async fn sqs(engine: &Engine, operation: &str, request: &Value) {
    let client = api_client(engine.access_key_id());
    let request =
        client.post(format!("http://{}/", engine.api_address())).body(request.to_string());
    let answer = request.header("x-amz-target", format!("AmazonSQS.{operation}")).send().await;
    assert_eq!(answer.unwrap().status(), 200, "{operation}");
}

async fn dead_letter(engine: &Engine, body: &str) {
    let request = json!({
        "QueueUrl": engine.dead_letter_queue_url(), "MessageBody": body, "MessageGroupId": "g",
        "MessageDeduplicationId": body,
    });
    sqs(engine, "SendMessage", &request).await;
}

/// What the posts tell, without the lines that say what to do.
fn told(posts: &[String]) -> Vec<&str> {
    posts.iter().flat_map(|post| post.lines()).filter(|line| line.starts_with("test: ")).collect()
}

fn tell(lines: &[&str]) -> impl Fn(&[String]) -> bool {
    move |posts| {
        let told = told(posts);
        lines.iter().all(|part| told.iter().any(|line| line.contains(part)))
    }
}

/// What only a history tells, for who looks once.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_sees_of_itself_is_in_its_status_also_where_nobody_is_notified() {
    let setup = Setup::new();
    let engine = setup.start(&config(json!({}))).await;
    let of = |status: &Value, kind: &str| {
        let ill = status["conditions"]["ill"].as_array().unwrap();
        ill.iter().find(|it| it["kind"] == kind).cloned()
    };
    let status = get(&engine, "status").await;
    let limits = &status["limits"];
    assert_eq!(
        (&limits["retention_seconds"], &limits["dead_letter_retention_seconds"]),
        (&json!(1_209_600), &json!(1_209_600))
    );
    assert!(limits["give_up_after_seconds"].as_object().is_some_and(|it| !it.is_empty()));
    let begun = Instant::now();
    loop {
        let url = format!("http://{}/nowhere", engine.ingest_address());
        assert_eq!(http_client().post(url).send().await.unwrap().status(), 404);
        let status = get(&engine, "status").await;
        if let Some(refused) = of(&status, "RequestsRefused") {
            assert!(refused["figure"].as_u64() > Some(20), "{refused}");
            let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
            let looked_at = &status["conditions"]["looked_at"];
            assert!(time(&refused["since"]) <= time(looked_at), "{status}");
            assert_eq!(of(&status, "DeadLettersPresent"), None);
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{status}");
    }
    dead_letter(&engine, "1").await;
    while of(&get(&engine, "status").await, "DeadLettersPresent").is_none() {
        assert!(begun.elapsed() < Duration::from_mins(2));
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_told_when_it_begins_and_when_it_is_over_and_says_what_to_type() {
    let (receiver, setup) = (receiver(Behavior::Well).await, Setup::new());
    let engine = setup.start(&notified(&receiver)).await;
    dead_letter(&engine, "1").await;
    let posts = receiver.delivered(|posts| !posts.is_empty()).await;
    let lines: Vec<&str> = posts[0].lines().collect();
    assert!(lines[0].starts_with("test: warning: since 2027-01-15T0"), "{posts:?}");
    assert!(
        lines[0].ends_with("1 event could not be delivered, kept as dead letters"),
        "{posts:?}"
    );
    let dir = setup.dir.path().display();
    assert_eq!(lines[1], format!("  webhook-operator dlq list test --data-dir {dir}"));
    assert_eq!(lines[2..], ["  docs/runbook.md#dead-letters-present"]);

    sqs(&engine, "PurgeQueue", &json!({ "QueueUrl": engine.dead_letter_queue_url() })).await;
    receiver.delivered(tell(&["no dead letters are left"])).await;
    // More than twenty within a quarter of an hour, which is a second and a half here: on a machine that
    // is busy, not with the first.
    let strangers = async {
        loop {
            let url = format!("http://{}/nowhere", engine.ingest_address());
            assert_eq!(http_client().post(url).send().await.unwrap().status(), 404);
        }
    };
    tokio::select! {
        () = strangers => {}
        _ = receiver.delivered(tell(&[" requests refused in a quarter of an hour"])) => {}
    }
    assert_eq!(set_enabled(&engine, false).await, 200);
    let posts = receiver.delivered(tell(&["delivery is paused", "few requests are refused"])).await;
    assert_eq!(set_enabled(&engine, true).await, 200);
    assert!(!tell(&["delivery goes on"])(&posts), "{posts:?}");
    let posts = receiver.delivered(tell(&["delivery goes on"])).await;
    // What was purged is missing, and was removed. Nothing else is told.
    let of_purge = ["neither delivered nor kept", "deleted by hand", "were removed"];
    let told = told(&posts).into_iter().filter(|it| !of_purge.iter().any(|part| it.contains(part)));
    let told: Vec<&str> = told.collect();
    let of = |part: &str| told.iter().filter(|line| line.contains(part)).count();
    for part in [
        "could not be delivered",
        "dead letters are left",
        "refused in",
        "few requests",
        "is paused",
        "goes on",
    ] {
        assert_eq!(of(part), 1, "{part:?} in {told:?}");
    }
    assert_eq!(told.len(), 6, "{told:?}");

    let metrics = metrics(&engine).await;
    let sent = format!("webhook_notifications_total{{outcome=\"sent\"}} {}\n", posts.len());
    assert!(metrics.contains(&sent), "{sent} in {metrics}");
    let status = get(&engine, "status").await;
    assert_eq!(status["notifications"]["failed"], 0, "{status}");
    assert!(!format!("{status}{metrics}").contains("zqxw"));
    engine.stop().await;
    setup.shows_no_url();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_is_told_and_that_it_is_back() {
    let (receiver, setup) = (receiver(Behavior::Well).await, Setup::new());
    // The forwarder's own line, as it logs it of an event that it keeps.
    let line = |message: &str| {
        json!({
            "timestamp": "2027-01-15T08:00:00.000Z", "level": "INFO", "message": message,
            "event_id": "e", "route": "sss", "destination": "sss", "reason": "circuit_open",
        })
    };
    setup.function.set_script("k keep");
    setup.function.set_lines(&line("not_attempted").to_string());
    let engine = setup.start(&notified(&receiver)).await;
    assert_eq!(post(&http_client(), &engine, "k", "k-1".to_owned()).await, 200);
    let away = ["destination sss of route sss does not answer", "an event has waited for"];
    receiver.delivered(tell(&away)).await;
    setup.function.set_lines(&line("delivered").to_string());
    setup.function.set_script("k ok");
    let back = ["the destination answers (sss/sss)", "no event waits for long"];
    let posts = receiver.delivered(tell(&back)).await;
    for part in away.into_iter().chain(back) {
        let times = told(&posts).iter().filter(|line| line.contains(part)).count();
        assert_eq!(times, 1, "{part:?} in {posts:?}");
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarder_that_does_not_start_is_told_as_slack_wants_it() {
    let (receiver, setup) = (receiver(Behavior::Well).await, Setup::new());
    setup.function.set_script("init a <b> is wrong");
    let engine = setup.start(&config(json!({ "notify": { "url": url(&receiver) } }))).await;
    let posts = receiver.delivered(|posts| !posts.is_empty()).await;
    let text: Value = serde_json::from_str(&posts[0]).unwrap();
    let text = text["text"].as_str().unwrap();
    assert!(text.starts_with("test: critical: since 2027"), "{text}");
    assert!(
        text.contains("no forwarder starts") && text.contains("a &lt;b&gt; is wrong"),
        "{text}"
    );
    setup.function.set_script("all ok");
    let posts = receiver.delivered(|posts| posts.len() == 2).await;
    assert!(posts[1].contains("the forwarder starts"), "{posts:?}");
    engine.stop().await;
}

/// Nobody knows then what a run before has posted: each waits for as long as a post takes to be allowed.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_starts_again_and_again_and_can_keep_nothing_posts_no_more_often() {
    let (receiver, setup) = (receiver(Behavior::Well).await, Setup::new());
    let (data, link) = (setup.dir.path().join("data"), setup.dir.path().join("link"));
    std::fs::create_dir(&data).unwrap();
    let started = setup.clock.uptime();
    for run in 0..20 {
        // Its files are open before the way to them goes, but the one that is replaced.
        std::os::unix::fs::symlink(&data, &link).unwrap();
        let engine = setup.start_once_free_in(&link, &notified(&receiver)).await;
        std::fs::remove_file(&link).unwrap();
        dead_letter(&engine, &run.to_string()).await;
        // Looked at, and told of but for the rule: a look is every 50 ms here.
        tokio::time::sleep(Duration::from_millis(200)).await;
        engine.stop().await;
    }
    let warning = "what was notified cannot be kept, and may be told again after a restart";
    setup.log.wait_for(warning, |_| true).await;
    let minutes = setup.clock.uptime().since(started).as_secs() / 60;
    let posts = receiver.delivered(|_| true).await.len() as u64;
    // Four may follow each other at once, where it is known that none did before.
    assert!(posts <= minutes / 10 + 4, "{posts} posts in {minutes} minutes");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    let engine = setup.start_once_free_in(&link, &notified(&receiver)).await;
    receiver.delivered(tell(&["could not be delivered"])).await;
    engine.stop().await;
}

/// Whatever it does instead of answering: webhooks are accepted and delivered, its failures are told,
/// and once it is back it hears of what is.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_delays_nothing_and_hears_of_it_once_it_is_back() {
    for (behavior, reason) in [
        (Behavior::Unavailable, "answered 503"),
        (Behavior::Reset, "gave no answer: "),
        (Behavior::Garbage, "gave no answer: "),
        (Behavior::Hang, "gave no answer: none within 10 s"),
    ] {
        let (receiver, setup) = (receiver(behavior).await, Setup::new());
        let engine = setup.start(&notified(&receiver)).await;
        dead_letter(&engine, "1").await;
        receiver.requested(1).await;
        let client = http_client();
        for number in 0..20 {
            assert_eq!(post(&client, &engine, "k", format!("k-{number}")).await, 200);
        }
        setup.function.wait_for(|record| record.iter().any(|body| body == "k-19")).await;
        let line = setup.log.wait_for("notification failed", |_| true).await;
        let error = line["error"].as_str().unwrap();
        let origin = format!("http://{}", receiver.address);
        assert!(error.starts_with(&origin) && error.contains(reason), "{behavior:?}: {line}");
        receiver.set(Behavior::Well);
        let posts = receiver.delivered(tell(&["1 event could not be delivered"])).await;
        let times = told(&posts).iter().filter(|it| it.contains("could not be delivered")).count();
        assert_eq!(times, 1, "{posts:?}");
        let metrics = metrics(&engine).await;
        assert!(
            !metrics.contains("webhook_notifications_total{outcome=\"failed\"} 0\n"),
            "{metrics}"
        );
        engine.stop().await;
        setup.shows_no_url();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_no_reason_not_to_start_or_to_stop() {
    let (receiver, setup) = (receiver(Behavior::Well).await, Setup::new());
    let (address, config) = (receiver.address, notified(&receiver));
    drop(receiver);
    let engine = setup.start(&config).await;
    dead_letter(&engine, "1").await;
    setup.log.wait_for("notification failed", |_| true).await;
    let receiver = Service::start(address, Behavior::Well).await;
    receiver.delivered(tell(&["1 event could not be delivered"])).await;
    // One that keeps a post waiting does not keep a stop.
    receiver.set(Behavior::Hang);
    sqs(&engine, "PurgeQueue", &json!({ "QueueUrl": engine.dead_letter_queue_url() })).await;
    receiver.requested(2).await;
    let stopped = tokio::time::timeout(Duration::from_secs(9), engine.stop());
    stopped.await.expect("sooner than the post ends");
    setup.shows_no_url();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_nothing_is_told_anew_and_an_engine_that_was_killed_says_so() {
    let (receiver, setup) = (receiver(Behavior::Well).await, Setup::new());
    let config = notified(&receiver);
    let engine = setup.start(&config).await;
    dead_letter(&engine, "1").await;
    receiver.delivered(|posts| posts.len() == 1).await;
    setup.log.wait_for("notified", |_| true).await;
    engine.stop().await;

    // As a crash leaves it.
    drop(setup.start(&config).await);
    let engine = setup.start_once_free(&config).await;
    let posts = receiver.delivered(|posts| posts.len() == 2).await;
    assert!(posts[1].contains("ended without having been stopped"), "{posts:?}");
    assert_eq!(told(&posts[1..]).len(), 1, "{posts:?}");
    setup.log.wait_for_count("notified", 2).await;
    engine.stop().await;

    // A file that is torn costs a repetition.
    std::fs::write(setup.dir.path().join("notifications.json"), "{\"starts_ms\":[1").unwrap();
    let engine = setup.start(&config).await;
    setup
        .log
        .wait_for("what was notified before is not known, and may be told again", |_| true)
        .await;
    let posts = receiver.delivered(|posts| posts.len() == 3).await;
    assert!(posts[2].contains("1 event could not be delivered"), "{posts:?}");
    assert!(!posts[2].contains("without having been stopped"), "{posts:?}");
    engine.stop().await;
    setup.shows_no_url();
}

/// The secret is read anew for each post.
#[tokio::test(flavor = "multi_thread")]
async fn a_url_in_a_file_may_be_missing_and_be_replaced() {
    let (receiver, setup) = (receiver(Behavior::Well).await, Setup::new());
    let secret = setup.dir.path().join("secret");
    let reference = format!("file:{}", secret.display());
    let config = config(json!({ "notify": { "url": reference, "format": "plain" } }));
    let engine = setup.start(&config).await;
    let line = setup.log.wait_for("notifications cannot be sent", |_| true).await;
    assert!(
        line["error"].as_str().unwrap().contains(&format!("{reference}: No such file")),
        "{line}"
    );
    dead_letter(&engine, "1").await;
    setup.log.wait_for("notification failed", |_| true).await;
    std::fs::write(&secret, PLANTED).unwrap();
    let line = setup.log.wait_for("notification failed", |line| {
        line["error"].as_str().unwrap().contains("must be a URL")
    });
    line.await;
    std::fs::write(&secret, format!("{}\n", url(&receiver))).unwrap();
    receiver.delivered(tell(&["1 event could not be delivered"])).await;
    engine.stop().await;
    setup.shows_no_url();
}

/// The processes that a process has started, once there are some. They are those of the thread that started
/// them, or of another one once that has ended, as it may do at any time.
#[cfg(target_os = "linux")]
async fn children_of(process: u64) -> Vec<String> {
    let limit = Instant::now() + Duration::from_mins(1);
    loop {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let of_task = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default()
        };
        let children: String = tasks.map(of_task).collect();
        if !children.is_empty() {
            return children.split_whitespace().map(str::to_owned).collect();
        }
        assert!(Instant::now() < limit, "the forwarder runs");
        tokio::task::yield_now().await;
    }
}

/// Neither the process's arguments nor those of the forwarder, nor its environment, show it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn processes_do_not_show_the_url() {
    let receiver = receiver(Behavior::Well).await;
    let (dir, function) = (tempfile::tempdir().unwrap(), Function::new("all ok"));
    let program = Program::start(&notified(&receiver), dir.path(), &function.executable());
    program.send_message("test-webhook.fifo", "g", "1").await;
    function.wait_for(|record| record.len() == 1).await;
    let file = std::fs::read_to_string(dir.path().join("engine.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let engine = file["pid"].as_u64().unwrap();
    let forwarders = children_of(engine).await;
    let pids = std::iter::once(engine.to_string()).chain(forwarders);
    for pid in pids {
        for of in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{pid}/{of}")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains("zqxw"), "{pid} {of}");
        }
    }
    assert!(program.terminate().success());
}

fn run(command: &str, config: &Value, more: &[&Path]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_webhook-engine"));
    program.arg(command).arg("--config").arg(file.path()).args(more);
    program.env_remove("CREDENTIALS_DIRECTORY").output().unwrap()
}

/// Whoever expects heartbeats hears of an engine that accepts webhooks, and of no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_comes_while_webhooks_are_accepted_and_only_then() {
    let (receiver, setup) = (receiver(Behavior::Unavailable).await, Setup::new());
    let config = config(json!({ "notify": { "heartbeat_url": url(&receiver) } }));
    let engine = setup.start(&config).await;
    receiver.requested(2).await;
    let line = setup.log.wait_for("heartbeat failed", |_| true).await;
    assert_eq!(line["error"], format!("http://{} answered 503", receiver.address));
    receiver.set(Behavior::Well);
    setup.log.wait_for("heartbeat arrives again", |_| true).await;
    receiver.delivered(|beats| beats.len() > 3).await;
    assert_eq!(setup.log.count("heartbeat failed"), 1, "told once, however many failed");
    engine.stop().await;
    setup.shows_no_url();

    // Without room nothing is accepted.
    let before = receiver.delivered(|_| true).await.len();
    let mut options = setup.options(&config);
    options.reserve_bytes = u64::MAX / 2;
    let engine = Engine::start(options).await.unwrap();
    assert_eq!(post(&http_client(), &engine, "k", "1".to_owned()).await, 503);
    let minutes = setup.clock.uptime().plus(Duration::from_mins(10));
    setup.clock.wait_until(minutes).await;
    assert_eq!(receiver.delivered(|_| true).await.len(), before);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_notification_says_what_was_answered() {
    let receiver = receiver(Behavior::Well).await;
    let origin = format!("http://{}", receiver.address);
    let test = |config: Value| async {
        let output = tokio::task::spawn_blocking(move || run("test-notification", &config, &[]));
        let output = output.await.unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains("zqxw"), "{said}");
        (output.status.code(), said)
    };
    assert_eq!(test(notified(&receiver)).await, (Some(0), format!("{origin} answered 200\n")));
    let posts = receiver.delivered(|posts| posts.len() == 1).await;
    assert!(posts[0].starts_with("test: this is a test"), "{posts:?}");
    receiver.set(Behavior::Unavailable);
    let refused = format!("webhook-engine: {origin} answered 503\n");
    assert_eq!(test(notified(&receiver)).await, (Some(1), refused));
    let heartbeat = config(json!({ "notify": { "heartbeat_url": url(&receiver) } }));
    let refused = format!("webhook-engine: {origin} answered 503 (heartbeat)\n");
    assert_eq!(test(heartbeat.clone()).await, (Some(1), refused));
    receiver.set(Behavior::Well);
    assert_eq!(test(heartbeat).await, (Some(0), format!("{origin} answered 200 (heartbeat)\n")));
    let (code, said) = test(config(json!({}))).await;
    assert!(code == Some(2) && said.contains("notify is missing"), "{said}");
    let (code, said) = test(config(json!({ "notify": { "url": "env:NO_SUCH_4712" } }))).await;
    assert!(
        code == Some(2) && said.contains("env:NO_SUCH_4712: environment variable not"),
        "{said}"
    );
    let (code, said) =
        test(config(json!({ "notify": { "url": format!("ftp://{PLANTED}") } }))).await;
    assert!(code == Some(2) && said.contains("notify.url: must be a URL"), "{said}");
    let gone = notified(&receiver);
    drop(receiver);
    let (code, said) = test(gone).await;
    assert!(code == Some(1) && said.contains(&format!("{origin} gave no answer")), "{said}");
}

/// Answers each connection's request with 200, with a certificate for `localhost` that is written to
/// `trusted`. Gives the port.
fn tls_receiver(trusted: &Path) -> u16 {
    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(trusted, ca.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.into()], PrivateKeyDer::try_from(key.serialize_der()).unwrap());
    let config = Arc::new(config.unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            // Who does not trust us sends no request.
            if stream.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
        }
    });
    port
}

#[test]
fn a_receiver_s_certificate_is_checked_and_ssl_cert_file_names_others() {
    let trusted = tempfile::NamedTempFile::new().unwrap();
    let url = format!("https://localhost:{}/{PLANTED}", tls_receiver(trusted.path()));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config(json!({ "notify": { "url": url } })).to_string()).unwrap();
    let test = |certificates: Option<&Path>| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_webhook-engine"));
        program.arg("test-notification").arg("--config").arg(file.path());
        program.env_remove("SSL_CERT_FILE");
        program.envs(certificates.map(|path| ("SSL_CERT_FILE", path)));
        let output = program.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains("zqxw"), "{said}");
        (output.status.code(), said)
    };
    let (code, said) = test(Some(trusted.path()));
    assert!(code == Some(0) && said.ends_with(" answered 200\n"), "{said}");
    let (code, said) = test(None);
    assert!(code == Some(1) && said.contains("certificate"), "{said}");
    let (code, said) = test(Some(Path::new("/nowhere.pem")));
    assert!(code == Some(1) && said.contains("/nowhere.pem, named by SSL_CERT_FILE"), "{said}");
}

#[test]
fn a_check_looks_for_the_url() {
    let function = Function::new("all ok");
    let forwarder = [Path::new("--forwarder"), &function.executable()];
    let check = |url: &str| {
        let output = run("check-config", &config(json!({ "notify": { "url": url } })), &forwarder);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains("zqxw"), "{said}");
        (output.status.code(), said)
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let reference = format!("file:{}", file.path().display());
    for (text, problem) in
        [("", "is empty"), (PLANTED, "must be a URL"), ("http://e.example/zqxw", "must be https")]
    {
        std::fs::write(file.path(), text).unwrap();
        let (code, said) = check(&reference);
        assert!(code == Some(2) && said.contains(&format!("notify.url: {reference}: ")), "{said}");
        assert!(said.contains(problem), "{problem} in {said}");
    }
    std::fs::write(file.path(), format!("https://hooks.example.com/{PLANTED}")).unwrap();
    let (code, said) = check(&reference);
    assert!(
        code == Some(0) && said.contains(&format!("notifications go to {reference}\n")),
        "{said}"
    );
    assert!(said.contains("secrets that are there: 1\n"), "{said}");
    let (code, said) = check(&format!("https://hooks.example.com/{PLANTED}"));
    assert!(
        code == Some(0) && said.contains("notifications go to https://hooks.example.com\n"),
        "{said}"
    );
    let of_the_unit = "file:/run/credentials/webhook-queue-test.service/notify";
    let (code, said) = check(of_the_unit);
    assert!(code == Some(0) && said.contains(&format!("not checked: {of_the_unit}\n")), "{said}");
}
