//! The service: each destination takes what comes, or fails as it is told.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use domain::outcome::{Answer as Answered, TransportError};
use domain::time::Timestamp;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::configuration::FATES;
use super::world::{World, name_of};
use crate::history::{Answer, Name, Seen, Written};
use crate::random::Random;
use crate::schedule::Fault;

/// All destinations.
#[derive(Debug)]
pub(super) struct Service {
    world: Rc<World>,
    /// What is out of order, by the destination; the last one counts.
    faults: RefCell<BTreeMap<String, Vec<Fault>>>,
    /// How often each event came, by the destination.
    attempts: RefCell<BTreeMap<(String, Name), u32>>,
    random: RefCell<Random>,
}

/// A request as the service reads it.
pub(super) struct Request {
    pub(super) destination: String,
    pub(super) event_id: String,
    pub(super) body: String,
}

/// What a request comes to.
type Reply = Result<Answered, TransportError>;

/// Nothing comes in any time.
const NEVER: Duration = Duration::from_hours(24);

impl Service {
    pub(super) fn new(world: &Rc<World>) -> Rc<Self> {
        Rc::new(Self {
            random: RefCell::new(world.random(21)),
            world: Rc::clone(world),
            faults: RefCell::default(),
            attempts: RefCell::default(),
        })
    }

    /// Has a destination fail for a time.
    pub(super) async fn fail(&self, destination: &str, fault: Fault, lasts: Duration) {
        self.world.begin(fault);
        self.faults.borrow_mut().entry(destination.to_owned()).or_default().push(fault);
        sleep(lasts).await;
        if let Some(faults) = self.faults.borrow_mut().get_mut(destination) {
            let place = faults.iter().position(|it| *it == fault).unwrap_or_default();
            faults.remove(place);
        }
        self.world.end(fault);
    }

    /// Posts. What has left arrives, whatever becomes of whoever sent it.
    pub(super) async fn post(self: &Rc<Self>, request: Request, timeout: Duration) -> Reply {
        let fault =
            self.faults.borrow().get(&request.destination).and_then(|it| it.last().copied());
        let on_the_way = Duration::from_micros(500 + self.random.borrow_mut().below(30_000));
        sleep(on_the_way).await;
        if let Some(fault) = fault {
            self.world.hit(fault);
        }
        match fault {
            Some(Fault::Refuse) => return Err(TransportError::Refused),
            Some(Fault::ResetBefore) => return Err(TransportError::Closed),
            _ => {}
        }
        let (reply, answer) = oneshot::channel();
        let service = Rc::clone(self);
        tokio::task::spawn_local(async move {
            // Whoever asked may be gone.
            let _unheard = reply.send(service.serve(request, fault, timeout).await);
        });
        answer.await.unwrap_or(Err(TransportError::Closed))
    }

    async fn serve(&self, request: Request, fault: Option<Fault>, timeout: Duration) -> Reply {
        let name = name_of(&request.body);
        // What nobody sent is noted under a name that nobody has.
        let noted = name.unwrap_or(Name { key: u32::MAX, number: 0 });
        let Request { destination, event_id, .. } = request;
        let attempt = {
            let mut attempts = self.attempts.borrow_mut();
            let count = attempts.entry((destination.clone(), noted)).or_default();
            *count += 1;
            *count - 1
        };
        let got = Seen::Got { name: noted, destination, event_id, answer: Answer::NONE };
        let place = self.world.push(got);
        let kind = self.world.configuration.borrow().route(noted.key);
        let fate = FATES.of(self.world.seed, kind, noted);
        let status = match self.beside() {
            Some(status) if fault.is_none() => status,
            _ => fate.status(attempt, kind, self.world.is_well.get()),
        };
        let time = self.time(fault, timeout);
        let after_ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let (reply, status, written) = self.reply(fault, status);
        if fault != Some(Fault::Hang) {
            // Known before it is written: whoever looks at the history looks when all is over.
            self.world.answered(place, Answer { status, written, after_ms });
        }
        sleep(time).await;
        reply
    }

    /// Calls of AWS's queues are made where the service does not take an event: every second time while
    /// they fail.
    fn beside(&self) -> Option<u16> {
        let is_there = |fault| self.world.is_there(fault);
        let status = match () {
            () if is_there(Fault::DeadLetterFails) => 422,
            () if is_there(Fault::VisibilityFails) => 500,
            () => return None,
        };
        (self.random.borrow_mut().below(2) == 0).then_some(status)
    }

    fn time(&self, fault: Option<Fault>, timeout: Duration) -> Duration {
        let mut random = self.random.borrow_mut();
        match fault {
            Some(Fault::Hang) => NEVER,
            Some(Fault::Slow) => {
                timeout.mul_f64(0.2) + timeout.mul_f64(0.7) * u32::from(random.below(2) == 1)
            }
            _ => Duration::from_micros(1_000 + random.below(60_000)),
        }
    }

    /// What whoever asked reads, and what was meant and written.
    fn reply(&self, fault: Option<Fault>, status: u16) -> (Reply, Option<u16>, Written) {
        let whole = |status: u16, retry_after: Option<String>| {
            let excerpt = (!(200..300).contains(&status)).then(|| "it is not wanted".to_owned());
            let answer = Answered { status, retry_after, excerpt, location: None };
            (Ok(answer), Some(status), Written::StatusLine)
        };
        match fault {
            Some(Fault::Fail) => whole(500, None),
            Some(Fault::Unavailable) => whole(503, None),
            Some(Fault::TooMany | Fault::ServiceClock) => whole(429, Some(self.retry_after())),
            Some(Fault::ResetAfter) => (Err(TransportError::Closed), None, Written::Nothing),
            Some(Fault::Garbage) => (Err(TransportError::InvalidAnswer), None, Written::Nothing),
            Some(Fault::HalfAnswer) => (Err(TransportError::Closed), None, Written::Part),
            Some(Fault::StatusLineOnly) => whole(200, None),
            Some(Fault::OddSuccess) => {
                let odd = [201, 202, 204, 206, 226, 299];
                whole(self.random.borrow_mut().pick(&odd).copied().unwrap_or(299), None)
            }
            _ => whole(status, None),
        }
    }

    /// Seconds, a date by the service's own clock, or what is neither.
    fn retry_after(&self) -> String {
        let mut random = self.random.borrow_mut();
        let seconds = 1 + random.below(20);
        match random.below(4) {
            0 => seconds.to_string(),
            1 => "soon".to_owned(),
            2 => "99999999999999".to_owned(),
            _ => {
                let off = self.world.service_is_off_ms.get();
                let ms = World::wall_at(self.world.now()).as_ms().saturating_add_signed(off)
                    + seconds * 1_000;
                http_date(Timestamp::from_ms(ms))
            }
        }
    }
}

/// A date as HTTP writes it. Source: RFC 9110, section 5.6.7.
fn http_date(time: Timestamp) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_millis(time.as_ms()))
}
