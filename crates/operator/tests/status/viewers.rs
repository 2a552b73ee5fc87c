//! What an engine is asked while people look at its page: counted at the engine, not at the commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::support::{Service, Site, operator};

const PATIENCE: Duration = Duration::from_mins(2);

/// How often everybody is told something, in each part.
const NEWS: usize = 5;

/// What stands before the engine's API, and counts what it is asked.
struct Counting {
    address: String,
    asked: Arc<AtomicUsize>,
}

impl Counting {
    async fn before(engine: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (caller, _) = listener.accept().await.unwrap();
                let (engine, asked) = (engine.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let engine = TcpStream::connect(engine).await.unwrap();
                    let ((mut from, mut answers), (mut back, mut to)) =
                        (caller.into_split(), engine.into_split());
                    let there = async {
                        let mut bytes = vec![0; 65_536];
                        while let Ok(read @ 1..) = from.read(&mut bytes).await {
                            let is_request = [&b"GET "[..], b"POST ", b"PUT "];
                            if is_request.iter().any(|it| bytes[..read].starts_with(it)) {
                                asked.fetch_add(1, Ordering::Relaxed);
                            }
                            if to.write_all(&bytes[..read]).await.is_err() {
                                return;
                            }
                        }
                    };
                    let and_back = tokio::io::copy(&mut back, &mut answers);
                    tokio::select! { () = there => {}, _done = and_back => {} }
                });
            }
        });
        Self { address, asked }
    }
}

/// The page, which asks by the counting one.
struct Page {
    address: String,
    cookie: String,
    _program: Child,
}

impl Page {
    async fn start(site: &Site, counting: &Counting) -> Self {
        let config = site.file("../config.json");
        let words = ["page", "--no-open", "--api", &counting.address, "--config"];
        let mut command = operator(&[&words[..], &[config.to_str().unwrap()]].concat());
        command.env("AWS_ACCESS_KEY_ID", site.access_key_id());
        command.env("XDG_RUNTIME_DIR", site.file(".."));
        let mut program = command.spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().unwrap();
        let door = lines.next_line().await.unwrap().unwrap();
        let address = first.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let door = std::fs::read_to_string(door.rsplit("open ").next().unwrap()).unwrap();
        let token = door.split("?token=").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let mut page = Self { address, cookie: String::new(), _program: program };
        let entered = page.get(&format!("/start?token={token}"), "").await;
        let cookie = entered.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
        cookie.clone_into(&mut page.cookie);
        page
    }

    fn request(&self, path: &str, headers: &str) -> String {
        let Self { address, cookie, .. } = self;
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\n{headers}\r\n")
    }

    async fn get(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = self.request(path, &format!("connection: close\r\n{headers}"));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Looks as a browser does: the first screen, and again whenever there is news; tells of each time.
    async fn view(self: Arc<Self>, told: mpsc::UnboundedSender<()>) {
        assert!(self.get("/", "").await.contains("200 OK"));
        let mut news = TcpStream::connect(&self.address).await.unwrap();
        news.write_all(self.request("/news", "").as_bytes()).await.unwrap();
        let mut lines = BufReader::new(news).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("data:") {
                self.get("/", "hx-request: true\r\n").await;
                if told.send(()).is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn ten_who_look_ask_the_engine_no_more_than_one() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let counting = Counting::before(site.api_address()).await;
    let page = Arc::new(Page::start(&site, &counting).await);
    let mut asked = Vec::new();
    for viewers in [1, 10] {
        let mut all = JoinSet::new();
        let mut news = Vec::new();
        for _ in 0..viewers {
            let (told, hears) = mpsc::unbounded_channel();
            all.spawn(Arc::clone(&page).view(told));
            news.push(hears);
        }
        let hear = async |news: &mut Vec<mpsc::UnboundedReceiver<()>>| {
            for hears in news.iter_mut() {
                tokio::time::timeout(PATIENCE, hears.recv()).await.unwrap().unwrap();
            }
        };
        // What everybody asks first is not what is counted.
        hear(&mut news).await;
        hear(&mut news).await;
        let before = counting.asked.load(Ordering::Relaxed);
        for _ in 0..NEWS {
            hear(&mut news).await;
        }
        asked.push(counting.asked.load(Ordering::Relaxed) - before);
        all.shutdown().await;
    }
    println!("asked of the engine in {NEWS} news: {asked:?}");
    let each = asked[0] / NEWS;
    assert!(each > 0, "it is counted: {asked:?}");
    // One that is under way at either end belongs to neither.
    assert!(asked[1] <= asked[0] + 2 * (each + 1), "{asked:?}");
}
