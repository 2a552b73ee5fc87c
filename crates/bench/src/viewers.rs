//! People who look at the page of an engine: the operator's own program, and as many browsers, each of which
//! follows the news and fetches the first screen whenever there are some, as the page's script does.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bench::http::{Connection, Message};

/// How long the page may take to its first news.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon a viewer notices that it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The page and who looks at it. It ends when dropped.
pub(crate) struct Viewers {
    program: Child,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// Where the operator's program is; `None` if it was not built beside the others.
pub(crate) fn operator(programs: &Path) -> Option<PathBuf> {
    let file = programs.parent()?.join("operator").join("webhook-operator");
    file.exists().then_some(file)
}

impl Viewers {
    /// So many look at the engine in `data_dir`, and have seen it.
    pub(crate) fn look(operator: &Path, data_dir: &Path, count: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(operator);
        command.arg("page").arg("--no-open").arg("--data-dir").arg(data_dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut program = command.spawn().context("starting the page")?;
        let said = program.stdout.take().context("the page says nothing")?;
        let ended = Arc::new(AtomicBool::new(false));
        let mut viewers = Self { program, ended: Arc::clone(&ended), threads: Vec::new() };
        let mut lines = BufReader::new(said).lines();
        let mut line = || lines.next().context("the page has ended")?.context("reading the page");
        let (first, second) = (line()?, line()?);
        let address = first.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address: SocketAddr = address.context("where the page is")?.parse()?;
        let door = second.rsplit("open ").next().context("how one is let in")?;
        let cookie = enter(address, Path::new(door))?;
        let seen = Arc::new(AtomicU64::new(0));
        for _ in 0..count {
            let (cookie, ended, seen) = (cookie.clone(), Arc::clone(&ended), Arc::clone(&seen));
            let view = move || view(address, &cookie, &ended, &seen);
            viewers.threads.push(std::thread::spawn(view));
        }
        let began = Instant::now();
        while seen.load(Ordering::Relaxed) < count as u64 {
            ensure!(began.elapsed() < PATIENCE, "nobody sees the page");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(viewers)
    }

    /// Nobody looks any more; fails if somebody could not.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_panic| anyhow::anyhow!("a viewer panicked"))??;
        }
        Ok(())
    }
}

impl Drop for Viewers {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // It may have ended by itself; either way it is gone after this.
        let _ended = self.program.kill();
        let _waited = self.program.wait();
    }
}

/// The cookie of who was let in by the file.
fn enter(address: SocketAddr, door: &Path) -> anyhow::Result<String> {
    let door = std::fs::read_to_string(door).context("reading what lets one in")?;
    let token = door.split("?token=").nth(1).and_then(|rest| rest.split('"').next());
    let path = format!("/start?token={}", token.context("a token")?);
    let answer = get(&mut connect(address)?, address, &path, "")?;
    let cookie = answer.header("set-cookie").and_then(|value| value.split(';').next());
    Ok(cookie.context("a cookie")?.to_owned())
}

/// Follows the news until it is to end.
fn view(
    address: SocketAddr,
    cookie: &str,
    ended: &AtomicBool,
    seen: &AtomicU64,
) -> anyhow::Result<()> {
    let cookie = format!("cookie: {cookie}\r\n");
    let mut screen = connect(address)?;
    get(&mut screen, address, "/", &cookie)?;
    let mut news = TcpStream::connect(address).context("connecting to the page")?;
    news.write_all(&request(address, "/news", &cookie))?;
    news.set_read_timeout(Some(LOOK_EVERY))?;
    let mut bytes = [0; 4_096];
    while !ended.load(Ordering::Relaxed) {
        let read = match news.read(&mut bytes) {
            Ok(0) => bail!("the page has ended"),
            Ok(read) => read,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if bytes[..read].windows(5).any(|window| window == b"data:") {
            let stays = format!("{cookie}hx-request: true\r\n");
            get(&mut screen, address, "/", &stays)?;
            seen.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn connect(address: SocketAddr) -> anyhow::Result<Connection<TcpStream>> {
    Ok(Connection::new(TcpStream::connect(address).context("connecting to the page")?))
}

fn get(
    connection: &mut Connection<TcpStream>,
    address: SocketAddr,
    path: &str,
    headers: &str,
) -> anyhow::Result<Message> {
    connection.write(&request(address, path, headers))?;
    let answer = connection.read()?.context("the page closed the connection")?;
    ensure!(answer.head.starts_with("HTTP/1.1 200"), "the page answered {}", answer.head);
    Ok(answer)
}

fn request(address: SocketAddr, path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n").into_bytes()
}
