//! One engine: what it is made of, in which order it starts, and in which it stops.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use domain::config::{Config, LogLevel};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::access::Access;
use crate::admin::{self, About, Admin, Limits};
use crate::clock::{Clock, SystemClock};
use crate::conditions::Conditions;
use crate::deliveries::Deliveries;
use crate::disk::{Disk, RESERVE_BYTES};
use crate::error::EngineError;
use crate::error_text::in_full;
use crate::event_source_mapping::{EventSource, EventSourceMapping, MappingHandle, MappingOptions};
use crate::failure::{Failure, Failures};
use crate::files::{replace, write_durably, write_in_place};
use crate::function::{
    Function, FunctionIdentity, FunctionOptions, INIT_TIMEOUT, Program, Queues,
    function_environment,
};
use crate::heartbeat::Heartbeat;
use crate::history::{self, History};
use crate::ingest::{Backend, Ingest};
use crate::lambda_api::{self, LambdaApi};
use crate::log::Log;
use crate::notifier;
use crate::pauses_api::{self, PausesApi};
use crate::receiver::Receiver;
use crate::server::Server;
use crate::spare_room::is_full;
use crate::storage::{Kept, Storage};
use crate::storage_health::StorageHealth;
use crate::store::{GroupLock, Store, arn};
use crate::{
    damage_api, departures, destinations, leases_api, looking_api, metrics, operators, queues,
    repeat_api, retry_api, search_api, sqs, status,
};

/// Name of the file in the data directory that says where the engine listens.
const ADDRESS_FILE: &str = "engine.json";

/// How long the store may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What an engine is to do.
pub struct EngineOptions {
    /// The environment.
    pub config: Config,
    /// Where messages are kept.
    pub storage: Storage,
    /// The forwarder's executable; without it messages are accepted, and stay.
    pub forwarder: Option<PathBuf>,
    /// Where ingest listens: the routes of the configuration, and nothing else.
    pub listen: SocketAddr,
    /// Where the queues and the engine's own API listen.
    pub api_listen: SocketAddr,
    /// Sockets that somebody else listens at already, in the place of these two addresses.
    pub sockets: Sockets,
    /// Names that the API is called by, besides addresses and `localhost`.
    pub api_hosts: Vec<String>,
    /// Room on the disk below which no events are accepted, in bytes.
    pub reserve_bytes: u64,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// What a message in flight holds back: no user's choice, but tests try every one.
    pub group_lock: GroupLock,
    /// Where log lines go.
    pub log: Box<dyn Write + Send>,
    /// By which command it can be started again, for whoever finds it gone.
    pub start_command: Option<String>,
    /// Where the configuration was read, for whoever compares it with what runs: an absolute path.
    pub config_file: Option<PathBuf>,
    /// Whether not to start where events wait that were accepted for other destinations.
    pub keep_destinations: bool,
}

/// Listening sockets that outlive the engine, so that nobody is refused while another one takes its place.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Ingest's.
    pub ingest: Option<std::net::TcpListener>,
    /// The API's.
    pub api: Option<std::net::TcpListener>,
}

impl EngineOptions {
    /// An engine in memory, without a forwarder, at free ports of the loopback interface, that logs
    /// nothing: what a test changes as it needs.
    #[must_use]
    pub fn in_memory(config: Config) -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            config,
            storage: Storage::Memory,
            forwarder: None,
            listen: any_port,
            api_listen: any_port,
            sockets: Sockets::default(),
            api_hosts: Vec::new(),
            reserve_bytes: RESERVE_BYTES,
            clock: Arc::new(SystemClock::new()),
            group_lock: GroupLock::default(),
            log: Box::new(io::sink()),
            start_command: None,
            config_file: None,
            keep_destinations: false,
        }
    }
}

/// A running engine. Dropped without [`stop`](Engine::stop), it ends as in a crash: nothing is lost.
pub struct Engine {
    store: Store,
    log: Log,
    ingest: Server,
    api: Server,
    access: Arc<Access>,
    mapping: Option<EventSourceMapping>,
    history: Arc<History>,
    /// What waits for its time; ends with the engine.
    waiting: JoinSet<()>,
    queue_urls: QueueUrls,
    address_file: Option<PathBuf>,
}

/// `engine.json`: where a running engine is, and what opens its API.
#[derive(Serialize)]
struct Found<'a> {
    pid: u32,
    ingest: SocketAddr,
    api: SocketAddr,
    access_key_id: &'a str,
    #[serde(flatten)]
    about: &'a About,
}

impl<'a> Found<'a> {
    fn new(ingest: SocketAddr, api: SocketAddr, access_key_id: &'a str, about: &'a About) -> Self {
        Self { pid: std::process::id(), ingest, api, access_key_id, about }
    }

    /// Gives the file, if there is a directory to write it into.
    fn write(&self, data_dir: Option<&Path>, log: &Log) -> Result<Option<PathBuf>, EngineError> {
        let Some(file) = data_dir.map(|dir| dir.join(ADDRESS_FILE)) else { return Ok(None) };
        let write = || {
            let text = format!("{}\n", serde_json::to_string_pretty(self)?);
            match replace(&file, text.as_bytes()) {
                // One that was killed has left its own.
                Err(error) if is_full(&error) => match write_in_place(&file, text.as_bytes()) {
                    Ok(true) => Ok(()),
                    _ => write_durably(&file, text.as_bytes()),
                },
                written => written,
            }
        };
        match write() {
            // To deliver is worth more than to be found.
            Err(error) if is_full(&error) => {
                let fields = json!({ "error": error.to_string() });
                let message =
                    "engine.json is not written: operators find this engine by --api only";
                log.line(LogLevel::Error, message, fields);
                Ok(None)
            }
            Err(source) => Err(EngineError::File { what: "writing engine.json", source }),
            Ok(()) => Ok(Some(file)),
        }
    }
}

pub(crate) struct QueueUrls {
    queue: String,
    dead_letter_queue: String,
}

impl Engine {
    /// Starts an engine. It accepts messages once this returns.
    ///
    /// # Errors
    ///
    /// [`EngineError`]; nothing is left running then.
    pub async fn start(options: EngineOptions) -> Result<Self, EngineError> {
        let mut failures = None;
        // Whatever failed then did so because of that.
        Self::start_noting(options, &mut failures).await.map_err(|error| {
            failures.as_ref().and_then(Failures::first).map_or(error, EngineError::Failed)
        })
    }

    async fn start_noting(
        options: EngineOptions,
        failures: &mut Option<Failures>,
    ) -> Result<Self, EngineError> {
        let config = options.config;
        let data_dir = options.storage.dir();
        // One that was stopped has removed it.
        let was_killed = data_dir.is_some_and(|dir| dir.join(ADDRESS_FILE).exists());
        let kept = Kept::open(
            data_dir,
            config.forwarder().log_level,
            options.api_hosts,
            options.reserve_bytes,
            options.clock,
            options.log,
        )?;
        let Kept { store, access, log, health, disk } = kept;
        let store = store.with_group_lock(options.group_lock);
        *failures = Some(store.failures().clone());
        ensure_queues(&store, &config, &log).await?;
        keep_delivered(&store, &config, &log).await;
        let keep = options.keep_destinations;
        let origins = destinations::settle(&store, &config, data_dir, keep, &log).await?;
        let ingest_listener = listener(options.sockets.ingest, options.listen).await?;
        let api_listener = listener(options.sockets.api, options.api_listen).await?;
        let api_address = reachable(address_of(&api_listener, options.api_listen)?);
        let queue_urls = QueueUrls::at(api_address, &config);
        let config = Arc::new(config);

        let backend = Backend::engine(
            &config,
            &queue_urls.queue,
            store.clone(),
            health.clone(),
            disk.clone(),
        );
        let ingest = Arc::new(Ingest::new(backend, Arc::clone(store.clock()), log.clone()));
        let deliveries = Arc::<Deliveries>::default();
        let mapping = match options.forwarder {
            None => None,
            Some(executable) => {
                let queues = (&queue_urls, api_address, access.id());
                let options = function_options(&config, executable, queues, data_dir)?;
                let clock = Arc::clone(store.clock());
                let function = Function::new(options, clock, log.clone(), Arc::clone(&deliveries));
                let options = mapping_options(&config, function, &store, &log, &health);
                Some(EventSourceMapping::start(options, data_dir).await?)
            }
        };
        let about = queue_urls.about(&config, options.start_command, options.config_file, data_dir);
        let admin = Arc::new(Admin {
            queue: config.queue_name(),
            dead_letter_queue: config.dead_letter_queue_name(),
            ingest: Arc::clone(&ingest),
            mapping: mapping.as_ref().map(EventSourceMapping::handle),
            health: health.clone(),
            disk: disk.clone(),
            log: log.clone(),
            deliveries,
            receiver: Receiver::of(&config).map(Arc::new),
            log_level: config.forwarder().log_level,
            conditions: Conditions::new(store.clock().wall()),
            limits: Limits::of(&config),
            origins,
            about: about.clone(),
            production: config.is_production(),
            started: store.clock().uptime(),
            store: store.clone(),
        });
        let history = Arc::new(History::open(Arc::clone(&admin), data_dir).await);
        let router =
            api_router(&config, &admin, data_dir).merge(history::router(Arc::clone(&history)));
        let mut waiting =
            departures::watch(&store, config.dead_letter_queue_name(), &log, health, disk.clone());
        watch(&mut waiting, &store, disk, mapping.as_ref(), &log);
        // Before anybody is answered: who finds the engine well finds this as well.
        let ingest_address = reachable(address_of(&ingest_listener, options.listen)?);
        let found = Found::new(ingest_address, api_address, access.id(), &about);
        let address_file = found.write(data_dir, &log)?;
        let api = start_router(api_listener, log.clone(), router, Arc::clone(&access))
            .map_err(|source| EngineError::Listen { address: options.api_listen, source })?;
        let ingest = Server::start(ingest_listener, log.clone(), move |peer, request| {
            Arc::clone(&ingest).answer(peer, request)
        })
        .map_err(|source| EngineError::Listen { address: options.listen, source })?;

        waiting.spawn(Arc::clone(&history).run());
        waiting.spawn(notifier::run(&config, data_dir, was_killed, &admin));
        if let Some(heartbeat) = Heartbeat::new(&config, &admin) {
            waiting.spawn(heartbeat.run());
        }
        let engine = Self {
            store,
            log,
            ingest,
            api,
            access,
            mapping,
            history,
            waiting,
            queue_urls,
            address_file,
        };
        engine.announce(data_dir);
        Ok(engine)
    }

    /// Where ingest listens.
    #[must_use]
    pub fn ingest_address(&self) -> SocketAddr {
        self.ingest.address()
    }

    /// Where the queues and the engine's own API listen.
    #[must_use]
    pub fn api_address(&self) -> SocketAddr {
        self.api.address()
    }

    /// What callers of the API have to send as their access key id.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        self.access.id()
    }

    /// The URL of the queue.
    #[must_use]
    pub fn queue_url(&self) -> &str {
        &self.queue_urls.queue
    }

    /// The URL of the dead-letter queue.
    #[must_use]
    pub fn dead_letter_queue_url(&self) -> &str {
        &self.queue_urls.dead_letter_queue
    }

    /// The queues, without the protocol.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Writes a line to the engine's log.
    pub fn log(&self, level: LogLevel, message: &str, fields: &serde_json::Value) {
        self.log.line(level, message, fields);
    }

    /// Returns once the lines so far are written, or cannot be for a while.
    pub fn flush_log(&self) {
        self.log.flush();
    }

    /// Is ready once the engine cannot go on: it is to be dropped, and its process to end.
    pub async fn failed(&self) -> Failure {
        self.store.failed().await
    }

    /// Whether it still does what it is for: its store answers, be it that the disk is full, and ingest
    /// takes connections. Does not return while the store does not.
    pub async fn lives(&self) -> bool {
        self.store.answers().await && self.ingest.is_accepting()
    }

    /// Lets the function finish what it works on, accepting events meanwhile, and ends. Takes up to the
    /// function's timeout.
    pub async fn stop(self) {
        let Self { store, log, ingest, api, mapping, history, mut waiting, address_file, .. } =
            self;
        waiting.shutdown().await;
        // The function may need the queues until its last batch has ended, and senders of webhooks need
        // not notice how long that takes.
        if let Some(mapping) = mapping {
            mapping.stop().await;
        }
        ingest.stop().await;
        api.stop().await;
        let _in_time = tokio::time::timeout(CLOSE_TIMEOUT, history.end()).await;
        drop(history);
        if let Some(file) = address_file {
            // A file that is left over names a process that is gone; whoever reads it can tell.
            let _left_over = std::fs::remove_file(file);
        }
        log.line(LogLevel::Info, "stopped", json!({}));
        log.flush();
        // Whoever still holds a handle of the store keeps it open, but not this engine from ending.
        let _held = tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await;
    }

    fn announce(&self, data_dir: Option<&Path>) {
        let (ingest, api) = (self.ingest_address(), self.api_address());
        let data_dir = data_dir.map_or_else(|| "memory".into(), |dir| dir.display().to_string());
        let fields = json!({ "ingest": ingest, "api": api, "data_dir": data_dir });
        self.log.announce(LogLevel::Info, "listening", fields);
    }
}

impl QueueUrls {
    pub(crate) fn at(api: SocketAddr, config: &Config) -> Self {
        let url = |name| format!("http://{api}/{}/{name}", arn::ACCOUNT_ID);
        Self {
            queue: url(config.queue_name()),
            dead_letter_queue: url(config.dead_letter_queue_name()),
        }
    }

    fn about(
        &self,
        config: &Config,
        start_command: Option<String>,
        config_file: Option<PathBuf>,
        data_dir: Option<&Path>,
    ) -> About {
        About {
            environment: config.environment().to_owned(),
            queue_url: self.queue.clone(),
            dead_letter_queue_url: self.dead_letter_queue.clone(),
            start_command,
            config_file,
            data_dir_inode: data_dir.and_then(|dir| dir.metadata().ok()).map(|it| it.ino()),
        }
    }
}

/// Keeps of what was delivered as much as is configured.
async fn keep_delivered(store: &Store, config: &Config, log: &Log) {
    if let Err(error) = store.keep_delivered(config.keep_delivered()).await {
        // To deliver is worth more; what is too much goes with what is delivered next.
        let fields = json!({ "error": in_full(&error) });
        log.line(LogLevel::Warn, "what was delivered is kept as before", fields);
    }
}

/// Begins what looks for room and what ends pauses.
fn watch(
    tasks: &mut JoinSet<()>,
    store: &Store,
    disk: Option<Arc<Disk>>,
    mapping: Option<&EventSourceMapping>,
    log: &Log,
) {
    if let Some(disk) = disk {
        let watch = disk.watch(Arc::clone(store.clock()));
        tasks.spawn(store.failures().clone().task("what looks for room", watch));
    }
    if let Some(mapping) = mapping {
        let clock = Arc::clone(store.clock());
        let ends = pauses_api::end_in_time(mapping.handle(), clock, log.clone());
        tasks.spawn(store.failures().clone().task("what ends pauses", ends));
    }
}

/// Everything that the API listener answers.
fn api_router(config: &Config, admin: &Arc<Admin>, data_dir: Option<&Path>) -> Router {
    let store = &admin.store;
    let clock = Arc::clone(store.clock());
    let pauses = PausesApi { mapping: admin.mapping.clone(), clock };
    let kept = [config.queue_name(), config.dead_letter_queue_name()];
    sqs::router_keeping(store.clone(), kept)
        .merge(admin::router(Arc::clone(admin)))
        .merge(status::router(Arc::clone(admin)))
        .merge(metrics::router(Arc::clone(admin)))
        .merge(damage_api::router(store.clone()))
        .merge(lambda_api::router(lambda_api(config, admin.mapping.clone())))
        .merge(pauses_api::router(pauses))
        .merge(leases_api::router(store.clone()))
        .merge(looking_api::router(Arc::clone(admin)))
        .merge(retry_api::router(Arc::clone(admin)))
        .merge(repeat_api::router(Arc::clone(admin)))
        .merge(search_api::router(Arc::clone(admin)))
        .merge(operators::router(data_dir))
}

fn lambda_api(config: &Config, mapping: Option<MappingHandle>) -> LambdaApi {
    LambdaApi {
        mapping,
        queue_arn: arn::of_queue(&config.queue_name()),
        function_arn: FunctionIdentity::of(config).arn(),
    }
}

async fn ensure_queues(store: &Store, config: &Config, log: &Log) -> Result<(), EngineError> {
    queues::ensure(store, config).await.map_err(EngineError::Queues)?;
    for (queue, waiting) in queues::left_behind(store, config).await.map_err(EngineError::Queues)? {
        let message = "events wait in a queue of another environment, which this configuration \
                       does not serve: an engine whose configuration has that name delivers them";
        log.line(LogLevel::Warn, message, json!({ "queue": queue, "waiting": waiting }));
    }
    Ok(())
}

pub(crate) fn function_options(
    config: &Config,
    executable: PathBuf,
    (urls, api, access_key_id): (&QueueUrls, SocketAddr, &str),
    data_dir: Option<&Path>,
) -> Result<FunctionOptions, EngineError> {
    let absolute = data_dir.map(std::path::absolute).transpose();
    let data_dir = absolute
        .map_err(|source| EngineError::File { what: "finding the current directory", source })?;
    let identity = FunctionIdentity::of(config);
    let own = |name: &str| std::env::var(name).ok();
    let queues = Queues { urls: (&urls.queue, &urls.dead_letter_queue), api, access_key_id };
    Ok(FunctionOptions {
        program: Program::Executable(executable),
        environment: function_environment(config, &identity, queues, data_dir.as_deref(), own),
        arn: identity.arn(),
        init_timeout: INIT_TIMEOUT,
        timeout: config.forwarder().function_timeout,
    })
}

pub(crate) fn mapping_options(
    config: &Config,
    function: Arc<Function>,
    store: &Store,
    log: &Log,
    health: &StorageHealth,
) -> MappingOptions {
    let queue = config.queue_name();
    MappingOptions {
        store: store.clone(),
        source: EventSource { arn: arn::of_queue(&queue), region: arn::REGION.to_owned() },
        queue,
        function,
        workers: config.forwarder().max_concurrency,
        batch_size: config.forwarder().batch_size,
        visibility_timeout: config.queue().visibility_timeout,
        log: log.clone(),
        health: health.clone(),
    }
}

async fn listener(
    socket: Option<std::net::TcpListener>,
    address: SocketAddr,
) -> Result<TcpListener, EngineError> {
    let listener = match socket {
        Some(socket) => socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)),
        None => TcpListener::bind(address).await,
    };
    listener.map_err(|source| EngineError::Listen { address, source })
}

fn address_of(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, EngineError> {
    listener.local_addr().map_err(|source| EngineError::Listen { address: asked, source })
}

/// The address at which this machine itself reaches a listener.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

fn start_router(
    listener: TcpListener,
    log: Log,
    router: Router,
    access: Arc<Access>,
) -> io::Result<Server> {
    let service = TowerToHyperService::new(router);
    Server::start(listener, log, move |peer, request| {
        let answer = access.check(peer, &request).map(|()| service.call(request));
        async move {
            match answer {
                Ok(answer) => answer.await.unwrap_or_else(|never| match never {}),
                Err(refusal) => refusal.response(),
            }
        }
    })
}
