//! A Lambda Runtime API that hands out events and takes the time until each is answered.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail};
use bench::http::{Connection, Message};

/// How long a candidate may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the candidate did.
#[derive(Debug)]
enum Step {
    /// It asked for an event, at this time.
    Asked(Instant),
    /// It answered one, at this time.
    Answered(Instant),
    /// It reported an error.
    Failed(String),
}

/// The server; ends with the process.
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    steps: Receiver<Step>,
    events: Sender<(Vec<u8>, Sender<Instant>)>,
}

/// Events that wait to be asked for; whichever connection asks gets the next.
type Events = Arc<Mutex<Receiver<(Vec<u8>, Sender<Instant>)>>>;

impl RuntimeApi {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("binding the runtime api")?;
        let address = listener.local_addr()?;
        let (step, steps) = channel();
        let (events, waiting) = channel();
        let waiting: Events = Arc::new(Mutex::new(waiting));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (step, waiting) = (step.clone(), Arc::clone(&waiting));
                std::thread::spawn(move || {
                    // A connection ends with its candidate.
                    let _ended = serve(stream, &step, &waiting);
                });
            }
        });
        Ok(Self { address, steps, events })
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the candidate asks for an event.
    pub(crate) fn await_ready(&self) -> anyhow::Result<Instant> {
        match self.steps.recv_timeout(PATIENCE).context("the candidate did not get ready")? {
            Step::Asked(at) => Ok(at),
            Step::Failed(error) => bail!("the candidate failed: {error}"),
            Step::Answered(_) => bail!("the candidate answered what it was not asked"),
        }
    }

    /// Hands out `event` to the candidate, which has asked for one, and waits until it asks again.
    /// Returns the time from handing the event out to the answer's last byte.
    pub(crate) fn invoke(&self, event: &[u8]) -> anyhow::Result<Duration> {
        let (sent, at) = channel();
        self.events
            .send((event.to_vec(), sent))
            .map_err(|_| anyhow!("the runtime api has ended"))?;
        let started = at.recv_timeout(PATIENCE).context("the event was not taken")?;
        let answered = match self.steps.recv_timeout(PATIENCE).context("no answer")? {
            Step::Answered(at) => at,
            Step::Failed(error) => bail!("the candidate failed: {error}"),
            Step::Asked(_) => bail!("the candidate asked for more instead of answering"),
        };
        self.await_ready()?;
        Ok(answered.duration_since(started))
    }
}

fn serve(stream: TcpStream, step: &Sender<Step>, events: &Events) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream);
    let mut number = 0_u64;
    while let Some(request) = connection.read()? {
        if request.path().ends_with("/next") {
            step.send(Step::Asked(Instant::now()))?;
            let event = events.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((event, sent)) = event else { return Ok(()) };
            number += 1;
            // Before the write, which may run the candidate before this thread goes on.
            let at = Instant::now();
            connection.write(&invocation(number, &event))?;
            sent.send(at)?;
        } else {
            let at = Instant::now();
            connection.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
            step.send(answer(&request, at))?;
        }
    }
    Ok(())
}

fn answer(request: &Message, at: Instant) -> Step {
    if request.path().ends_with("/response") {
        return Step::Answered(at);
    }
    Step::Failed(String::from_utf8_lossy(&request.body).into_owned())
}

fn invocation(number: u64, event: &[u8]) -> Vec<u8> {
    let deadline = SystemTime::now() + Duration::from_mins(1);
    let deadline_ms = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: r-{number}\r\n\
         lambda-runtime-deadline-ms: {deadline_ms}\r\nlambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700\r\n\
         lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:000000000000:function:bench\r\n\
         content-length: {}\r\n\r\n",
        event.len()
    );
    [head.as_bytes(), event].concat()
}
