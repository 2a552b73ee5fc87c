//! The server: which path shows or does what.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{
    DefaultBodyLimit, Form, FromRequestParts, Path as InPath, Query, Request, State,
};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{Stream, StreamExt as _};
use maud::{Markup, html};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::act::{Act, LETTERS_MAX};
use crate::acts::Acts;
use crate::guard::{Guard, Refused, secret};
use crate::live::{Live, Seen};
use crate::looks::{Look, Looks};
use crate::operator::{Operator, Said, Words};
use crate::text::{Language, Text};
use crate::view::{self, Back, Letters, Screen, View};

/// Nothing is loaded from elsewhere, and what services and senders wrote runs nowhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// htmx 2.0.11, with its licence (0BSD) beside it.
const HTMX: &str = include_str!("assets/htmx-2.0.11.min.js");
/// uPlot 1.6.32, with its licence (MIT) beside it.
const UPLOT: &str = include_str!("assets/uplot-1.6.32.iife.min.js");
const UPLOT_STYLE: &str = include_str!("assets/uplot-1.6.32.min.css");
const SCRIPT: &str = include_str!("assets/page.js");
const STYLE: &str = include_str!("assets/page.css");

/// How often the status of an engine is asked for while somebody looks.
const WATCH_ENGINE_EVERY: Duration = Duration::from_secs(2);

/// The same on AWS, whose metrics are told once a minute.
const WATCH_AWS_EVERY: Duration = Duration::from_secs(30);

/// How long what happened in each minute is shown again: it changes by the minute.
const ENGINE_HISTORY_FOR: Duration = Duration::from_secs(5);

/// The same on AWS, where each question costs.
const AWS_HISTORY_FOR: Duration = Duration::from_mins(1);

/// How long the first view waits for the first status.
const FIRST_STATUS: Duration = Duration::from_secs(5);

/// How long acts may take to end when the page does.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a look at dead letters on AWS is shown again: nobody receives by turning a page.
const AWS_LOOK_FOR: Duration = Duration::from_hours(1);

/// The longest form, in bytes: a body, each byte of which may be written as three.
const PREPARED_BYTES_MAX: usize = 4 * view::EDITED_BYTES_MAX;

/// How soon what is live is told of again.
const LIVE_TOLD_EVERY: Duration = Duration::from_secs(1);

/// How long the live view waits for what the log says first.
const FIRST_LINES: Duration = Duration::from_secs(2);

/// Exports that were asked for and not fetched, at most.
const EXPORTS_MAX: usize = 16;

/// What is compressed for who takes it, if it is no shorter than a packet.
const COMPRESSED: [&str; 3] = ["text/html", "text/javascript", "text/css"];
const COMPRESSED_BYTES_MIN: u64 = 1_400;

/// Bytes of an export that are passed on at once.
const PIECE_BYTES: usize = 64 * 1_024;

/// What a page is to be.
#[derive(Debug)]
pub struct Page {
    /// What it shows, and acts by.
    pub operator: Operator,
    /// Whether the environment is on AWS, where looking at dead letters has a price.
    pub is_aws: bool,
    /// Whether acts can be begun.
    pub acts: bool,
    /// Where it listens, on loopback; 0 for any port.
    pub port: u16,
}

/// A page that listens.
#[derive(Debug)]
pub struct Start {
    listener: TcpListener,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    guard: Guard,
    looks: Looks,
    acts: Acts,
    live: Live,
    /// Files that were asked for, by what fetches each, once.
    exports: Mutex<BTreeMap<String, Words>>,
    /// What acts show beside the cookie; none where there are none.
    act_secret: Option<String>,
    is_aws: bool,
    environment: String,
}

impl Page {
    /// Listens.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub async fn listen(self) -> io::Result<Start> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let shared = Shared {
            guard: Guard::new(),
            environment: self.operator.environment().to_owned(),
            live: Live::new(self.operator.clone()),
            exports: Mutex::default(),
            looks: Looks::new(self.operator),
            acts: Acts::new(),
            act_secret: self.acts.then(secret),
            is_aws: self.is_aws,
        };
        Ok(Start { listener, shared: Arc::new(shared) })
    }
}

impl Start {
    /// Where it listens.
    ///
    /// # Errors
    ///
    /// If the socket does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Writes the file that leads a browser in, once. Only its owner can read it, as `path` is in a
    /// directory of theirs or is made anew.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write_door(&self, path: &Path) -> io::Result<()> {
        let token = self.shared.guard.start_token().unwrap_or_default();
        let url = format!("http://{}/start?token={token}", self.address()?);
        let door = html! {
            (maud::DOCTYPE)
            meta charset="utf-8";
            title { (self.shared.environment) }
            meta http-equiv="refresh" content={ "0;url=" (url) };
            p { a href=(url) { (self.shared.environment) } }
            p { "Token: " code { (token) } }
        };
        std::fs::write(path, door.into_string())
    }

    /// Serves until `ended`, and then ends the acts that are under way.
    ///
    /// # Errors
    ///
    /// If the listener fails.
    pub async fn serve(self, ended: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let (closing, closed) = watch::channel(false);
        let interval = if shared.is_aws { WATCH_AWS_EVERY } else { WATCH_ENGINE_EVERY };
        let router = router(&shared, closed);
        let ended = async move {
            ended.await;
            // Who follows the news would keep it from ending.
            closing.send_replace(true);
        };
        let serve = axum::serve(self.listener, router).with_graceful_shutdown(ended);
        tokio::select! {
            served = serve.into_future() => served?,
            () = shared.looks.watch(interval) => {}
            () = shared.live.follow() => {}
        }
        shared.acts.end(PATIENCE).await;
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct Place {
    shared: Arc<Shared>,
    closed: watch::Receiver<bool>,
}

fn router(shared: &Arc<Shared>, closed: watch::Receiver<bool>) -> Router {
    let place = Place { shared: Arc::clone(shared), closed };
    let inside = Router::new()
        .route(Screen::Now.path(), get(now))
        .route("/history", get(history))
        .route(Screen::Keys.path(), get(keys))
        .route(Screen::DeadLetters.path(), get(dead_letters))
        .route(Screen::Event.path(), get(event))
        .route(Screen::Refused.path(), get(refused))
        .route(Screen::Routes.path(), get(routes))
        .route(Screen::Acts.path(), get(acts))
        .route(Screen::Live.path(), get(live))
        .route("/acts/{id}", get(act))
        .route("/acts/{id}/stop", post(stop))
        .route("/prepare", post(prepare).layer(DefaultBodyLimit::max(PREPARED_BYTES_MAX)))
        .route("/export", post(export))
        .route("/exported/{token}", get(exported))
        .route("/prepared/{token}", get(prepared))
        .route("/begin", post(begin))
        .route("/news", get(news))
        .layer(middleware::from_fn_with_state(Arc::clone(shared), known_only));
    let asset =
        |kind: &'static str, text: &'static str| get(async move || ([(CONTENT_TYPE, kind)], text));
    Router::new()
        .merge(inside)
        .route("/start", get(start).post(start_typed))
        .route("/htmx.js", asset("text/javascript; charset=utf-8", HTMX))
        .route("/uplot.js", asset("text/javascript; charset=utf-8", UPLOT))
        .route("/uplot.css", asset("text/css; charset=utf-8", UPLOT_STYLE))
        .route("/page.js", asset("text/javascript; charset=utf-8", SCRIPT))
        .route("/page.css", asset("text/css; charset=utf-8", STYLE))
        .fallback(not_found)
        .layer(middleware::from_fn(compressed))
        .layer(middleware::from_fn(admitted_only))
        .with_state(place)
}

/// Refuses what another site or another name sent, and says of every answer what a browser may do with it.
async fn admitted_only(request: Request, next: Next) -> Response {
    let admitted = Guard::admits(request.method(), request.headers());
    let mut response = match admitted {
        Ok(()) => next.run(request).await,
        Err(refused) => (StatusCode::FORBIDDEN, why(refused)).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Tables repeat themselves: through `ssh -L` a tenth of the bytes is seen sooner. What is no text of the
/// page's own, such as news and exports, goes as it comes.
async fn compressed(request: Request, next: Next) -> Response {
    let accepts = request.headers().get(ACCEPT_ENCODING).and_then(|it| it.to_str().ok());
    let is_wanted = accepts.is_some_and(takes_gzip);
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let is_ours = kind.is_some_and(|kind| COMPRESSED.iter().any(|it| kind.starts_with(it)));
    let bytes = response.size_hint().exact().unwrap_or_default();
    if !is_wanted || !is_ours || bytes < COMPRESSED_BYTES_MIN {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let zipped = async {
        let body = axum::body::to_bytes(body, usize::MAX).await.ok()?;
        let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
        zip.write_all(&body).ok()?;
        zip.finish().ok()
    };
    let Some(zipped) = zipped.await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(zipped))
}

/// Whether an `Accept-Encoding` names gzip, and does not refuse it. Source: RFC 9110, section 12.5.3.
fn takes_gzip(accepts: &str) -> bool {
    let mut codings = accepts.split(',').map(|it| it.split_once(';').unwrap_or((it, "")));
    codings.any(|(name, weight)| {
        let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Answers whoever has been let in; of what acts, whoever has the secret as well.
async fn known_only(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if shared.guard.knows(request.headers()).is_err() {
        let page = view::start(&shared.view(request.headers()), false);
        return (StatusCode::UNAUTHORIZED, Html(page.into_string())).into_response();
    }
    let acts = request.method() == Method::POST;
    let shown = request.headers().get("x-act").map(HeaderValue::as_bytes);
    if acts
        && (shared.act_secret.is_none() || shown != shared.act_secret.as_deref().map(str::as_bytes))
    {
        return (StatusCode::FORBIDDEN, "acts are not begun here").into_response();
    }
    next.run(request).await
}

fn why(refused: Refused) -> &'static str {
    match refused {
        Refused::Host => {
            "this page is for a browser on this machine: http://127.0.0.1 or http://localhost"
        }
        Refused::Origin => "another site sent this",
        Refused::Stranger => "not let in",
    }
}

impl Shared {
    fn exports(&self) -> MutexGuard<'_, BTreeMap<String, Words>> {
        self.exports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self, headers: &HeaderMap) -> View<'_> {
        View {
            language: Language::wanted(headers),
            environment: &self.environment,
            acts: self.act_secret.is_some(),
            production: self.looks.is_production(),
        }
    }
}

/// What stands behind the `?` of a screen's address; who mistypes it is told on a page of ours.
struct InQuery<T>(T);

impl<T: DeserializeOwned> FromRequestParts<Place> for InQuery<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, place: &Place) -> Result<Self, Response> {
        match Query::<T>::from_request_parts(parts, place).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(_mistyped) => {
                let view = place.shared.view(&parts.headers);
                let told = html! { p { (view.t(Text::NotFound)) } };
                let told = page(view.still(Screen::Now, &told));
                Err((StatusCode::BAD_REQUEST, told).into_response())
            }
        }
    }
}

fn page(markup: Markup) -> Html<String> {
    Html(markup.into_string())
}

#[derive(Debug, Default, Deserialize)]
struct Charted {
    #[serde(default)]
    back: Back,
}

async fn now(
    State(place): State<Place>,
    headers: HeaderMap,
    InQuery(Charted { back }): InQuery<Charted>,
) -> Html<String> {
    let shared = &place.shared;
    let mut status = shared.looks.status();
    let status = async {
        // The first one comes a moment after the start.
        let first = tokio::time::timeout(FIRST_STATUS, status.wait_for(Option::is_some)).await;
        first.ok().and_then(Result::ok).and_then(|look| look.clone())
    };
    // Who has the screen already keeps the charts. Source: htmx, "Request Headers".
    let stays = headers.contains_key("hx-request");
    let history = async { if stays { None } else { Some(history_of(shared, back).await) } };
    let (look, history) = tokio::join!(status, history);
    let view = shared.view(&headers);
    page(view::now(&view, look.as_ref(), &view::history(&view, back, history.as_ref())))
}

async fn history(
    State(place): State<Place>,
    headers: HeaderMap,
    InQuery(Charted { back }): InQuery<Charted>,
) -> Html<String> {
    let look = history_of(&place.shared, back).await;
    page(view::history(&place.shared.view(&headers), back, Some(&look)))
}

async fn history_of(shared: &Shared, back: Back) -> Look {
    let age = if shared.is_aws { AWS_HISTORY_FOR } else { ENGINE_HISTORY_FOR };
    let words = Words::new(&["status"]).option("--history", back.name());
    shared.looks.look_within(&words, age).await
}

async fn keys(State(place): State<Place>, headers: HeaderMap) -> Html<String> {
    let look = place.shared.looks.look(&Words::new(&["blocked"])).await;
    page(view::keys(&place.shared.view(&headers), &look))
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(flatten)]
    letters: Letters,
    #[serde(default)]
    look: String,
}

async fn dead_letters(
    State(place): State<Place>,
    headers: HeaderMap,
    InQuery(asked): InQuery<Asked>,
) -> Html<String> {
    let (shared, view) = (&place.shared, place.shared.view(&headers));
    // On AWS a look is a receive: one for each time that somebody asks for it, and never by a link.
    let age = match (shared.is_aws, asked.look.as_str()) {
        (false, _) => None,
        (true, "now") => Some(Duration::ZERO),
        (true, _) => Some(AWS_LOOK_FOR),
    };
    let issues = chosen(&asked.letters, Words::new(&["dlq", "issues"]));
    let letters = list(&asked.letters, view::SHOWN_MAX);
    let look = async |words: &Words| match age {
        None => Some(shared.looks.look(words).await),
        Some(age) if age.is_zero() => Some(shared.looks.look_within(words, age).await),
        Some(age) => shared.looks.seen(words, age).await,
    };
    // One after the other where each hides from the other what it receives.
    let looks: (Option<Look>, Option<Look>) = if shared.is_aws {
        (look(&issues).await, look(&letters).await)
    } else {
        tokio::join!(look(&issues), look(&letters))
    };
    let looks = looks.0.as_ref().zip(looks.1.as_ref());
    page(view::dead_letters(&view, &asked.letters, shared.is_aws, looks))
}

/// The command that lists these letters, so many at most.
fn list(letters: &Letters, most: usize) -> Words {
    chosen(letters, Words::new(&["dlq", "list"])).option("--limit", most.to_string())
}

/// The command, for these letters only.
fn chosen(letters: &Letters, mut words: Words) -> Words {
    for (name, value) in
        [("--issue", &letters.issue), ("--group", &letters.group), ("--grep", &letters.grep)]
    {
        if !value.is_empty() {
            words = words.option(name, value);
        }
    }
    words
}

#[derive(Debug, Deserialize)]
struct Question {
    #[serde(default)]
    q: String,
}

async fn event(
    State(place): State<Place>,
    headers: HeaderMap,
    InQuery(question): InQuery<Question>,
) -> Html<String> {
    let view = place.shared.view(&headers);
    let asked = question.q.trim();
    let look = if asked.is_empty() {
        None
    } else {
        Some(place.shared.looks.look(&Words::new(&["show"]).value(asked)).await)
    };
    // What is the name of nothing may be the text of something.
    let is_unknown = look.as_ref().is_some_and(|look| look.found.is_err());
    let found = if is_unknown && !place.shared.is_aws {
        let found = place.shared.looks.look(&Words::new(&["find"]).value(asked)).await;
        let is_any = |said: &Said| {
            said.json
                .pointer("/events")
                .and_then(Value::as_array)
                .is_some_and(|all| !all.is_empty())
        };
        found.found.as_ref().is_ok_and(is_any).then_some(found)
    } else {
        None
    };
    page(view::event(&view, asked, look.as_ref(), found.as_ref()))
}

#[derive(Debug, Deserialize)]
struct Viewed {
    #[serde(default)]
    paused: bool,
}

async fn live(
    State(place): State<Place>,
    headers: HeaderMap,
    InQuery(viewed): InQuery<Viewed>,
) -> Html<String> {
    let shared = &place.shared;
    let mut seen = shared.live.look();
    let is_first = |seen: &Seen| !seen.lines.is_empty() || seen.trouble.is_some();
    // The first lines come a moment after somebody looks.
    drop(tokio::time::timeout(FIRST_LINES, seen.wait_for(is_first)).await);
    let seen = seen.borrow().clone();
    page(view::live(&shared.view(&headers), &seen, viewed.paused, shared.is_aws))
}

async fn refused(State(place): State<Place>, headers: HeaderMap) -> Html<String> {
    let look = place.shared.looks.look(&Words::new(&["refused"])).await;
    page(view::refused(&place.shared.view(&headers), &look))
}

async fn routes(State(place): State<Place>, headers: HeaderMap) -> Html<String> {
    let look = place.shared.looks.look(&Words::new(&["status"]).flag("--routes")).await;
    page(view::routes(&place.shared.view(&headers), &look))
}

async fn acts(State(place): State<Place>, headers: HeaderMap) -> Html<String> {
    let shared = &place.shared;
    let log = shared.looks.look(&Words::new(&["dlq", "log"]).lines()).await;
    page(view::acts(&shared.view(&headers), &shared.acts.all(), &log))
}

async fn act(
    State(place): State<Place>,
    headers: HeaderMap,
    InPath(id): InPath<String>,
) -> Response {
    let shared = &place.shared;
    match shared.acts.one(&id) {
        Some(act) => page(view::act(&shared.view(&headers), &act)).into_response(),
        None => not_found(State(place), headers).await,
    }
}

async fn stop(
    State(place): State<Place>,
    headers: HeaderMap,
    InPath(id): InPath<String>,
) -> Response {
    match place.shared.acts.stop(&id) {
        Some(()) => leads_to(&format!("/acts/{id}")),
        None => not_found(State(place), headers).await,
    }
}

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    act: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    event_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    minutes: String,
    #[serde(default)]
    body: String,
    #[serde(flatten)]
    letters: Letters,
}

async fn prepare(State(place): State<Place>, Form(wanted): Form<Wanted>) -> Response {
    let shared = &place.shared;
    let wanted = match wanted_act(shared, wanted).await {
        Ok(act) => act.check("why", act.events()).map(|()| act).map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    match wanted {
        Ok(act) => leads_to(&format!("/prepared/{}", shared.acts.prepare(act))),
        Err(error) => told_above(&view::error(&error)),
    }
}

/// The act that a form asks for.
async fn wanted_act(shared: &Shared, wanted: Wanted) -> Result<Act, String> {
    let some = |text: String| Some(text).filter(|text| !text.trim().is_empty());
    Ok(match wanted.act.as_str() {
        "retry" => Act::Retry { keys: some(wanted.key).into_iter().collect() },
        "retry_all" => Act::Retry { keys: keys_of(shared).await? },
        "skip" => Act::Skip { event_id: some(wanted.event_id).ok_or("no event is named")? },
        "resume" => Act::Resume { name: some(wanted.name).ok_or("no pause is named")? },
        "send" => Act::Send { route: some(wanted.name).ok_or("no route is named")? },
        "repeat" => Act::Repeat { event_id: some(wanted.event_id).ok_or("no event is named")? },
        "edit" => {
            let event_id = some(wanted.event_id).ok_or("no event is named")?;
            let before = body_of(shared, &event_id).await?;
            Act::Edit { after: typed_body(wanted.body, &before), before, event_id }
        }
        "pause" => Act::Pause { minutes: minutes(&wanted.minutes)? },
        "redrive" | "drop" => {
            let event_ids = match some(wanted.event_id) {
                Some(event_id) => vec![event_id],
                None => letters_of(shared, &wanted.letters).await?,
            };
            if wanted.act == "drop" { Act::Drop { event_ids } } else { Act::Redrive { event_ids } }
        }
        other => return Err(format!("there is no act {other:?}")),
    })
}

/// The keys that wait and may be tried, as they are now.
async fn keys_of(shared: &Shared) -> Result<Vec<String>, String> {
    let words = Words::new(&["blocked"]);
    let said = shared.looks.look(&words).await.found.map_err(|error| error.to_string())?;
    Ok(view::keys_to_retry(&said.json))
}

/// The body of a dead letter, as it is now.
async fn body_of(shared: &Shared, event_id: &str) -> Result<String, String> {
    let words = Words::new(&["dlq", "show"]).value(event_id);
    let said = shared.looks.look(&words).await.found.map_err(|error| error.to_string())?;
    let body = said.json.pointer("/body").and_then(Value::as_str);
    body.map(str::to_owned).ok_or_else(|| format!("{event_id} is no dead letter"))
}

/// A text area sends every line break as two characters. Source: HTML, "Constructing the entry list".
fn typed_body(typed: String, before: &str) -> String {
    if before.contains("\r\n") { typed } else { typed.replace("\r\n", "\n") }
}

/// Asks for a file of dead letters; it is fetched by where this leads to, once.
async fn export(State(place): State<Place>, Form(letters): Form<Letters>) -> Response {
    let words = chosen(&letters, Words::new(&["dlq", "export"])).value("-");
    let token = secret();
    let mut exports = place.shared.exports();
    if exports.len() >= EXPORTS_MAX {
        exports.clear();
    }
    exports.insert(token.clone(), words);
    leads_to(&format!("/exported/{token}"))
}

/// The file, as the command writes it. One that fails half-way ends half-way, and is no whole download.
async fn exported(
    State(place): State<Place>,
    headers: HeaderMap,
    InPath(token): InPath<String>,
) -> Response {
    let words = place.shared.exports().remove(&token);
    let Some(words) = words else { return not_found(State(place), headers).await };
    let failed = |error: &str| {
        let page = view::error(error).into_string();
        (StatusCode::BAD_GATEWAY, Html(page)).into_response()
    };
    let mut child = match place.shared.looks.operator().follow(&words) {
        Ok(child) => child,
        Err(error) => return failed(&error.to_string()),
    };
    let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return failed("the command has no output");
    };
    tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
    let pieces =
        futures_util::stream::try_unfold((stdout, child), async |(mut stdout, mut child)| {
            let mut piece = vec![0; PIECE_BYTES];
            let read = stdout.read(&mut piece).await?;
            piece.truncate(read);
            if read > 0 {
                return Ok(Some((piece, (stdout, child))));
            }
            let status = child.wait().await?;
            if status.success() { Ok(None) } else { Err(io::Error::other(status.to_string())) }
        });
    let name = format!("attachment; filename=\"dead-letters-{}.jsonl\"", place.shared.environment);
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CONTENT_DISPOSITION, name.as_str())];
    (headers, Body::from_stream(pieces)).into_response()
}

/// What was typed for how long; nothing is until somebody resumes. Who types something else does not
/// mean that.
fn minutes(typed: &str) -> Result<Option<u32>, String> {
    match typed.trim() {
        "" => Ok(None),
        typed => match typed.parse() {
            Ok(minutes) if minutes > 0 => Ok(Some(minutes)),
            _ => Err(format!("{typed:?} is no number of minutes")),
        },
    }
}

/// Shows this above what the browser shows. Source: htmx, "HX-Retarget" and "HX-Reswap".
fn told_above(markup: &Markup) -> Response {
    let headers = [("hx-retarget", "#content"), ("hx-reswap", "afterbegin")];
    (headers, Html(markup.0.clone())).into_response()
}

/// The event ids of dead letters that were chosen on a screen, as they are now.
async fn letters_of(shared: &Shared, letters: &Letters) -> Result<Vec<String>, String> {
    // On AWS those that somebody has looked at: to look once more is to receive them once more.
    let (most, age) = if shared.is_aws {
        (view::SHOWN_MAX, AWS_LOOK_FOR)
    } else {
        (LETTERS_MAX + 1, Duration::ZERO)
    };
    let words = list(letters, most);
    let said =
        shared.looks.look_within(&words, age).await.found.map_err(|error| error.to_string())?;
    let all = said.json.as_array().map_or(&[][..], Vec::as_slice);
    let ids = all.iter().filter_map(|letter| letter.pointer("/event_id")?.as_str());
    Ok(ids.map(str::to_owned).collect())
}

async fn prepared(
    State(place): State<Place>,
    headers: HeaderMap,
    InPath(token): InPath<String>,
) -> Response {
    let shared = &place.shared;
    let Some(act) = shared.acts.prepared(&token) else {
        return not_found(State(place), headers).await;
    };
    let rehearsal = match act.rehearsal(shared.is_aws) {
        Some(words) => Some(shared.looks.look(&words).await),
        None => None,
    };
    let typed = shared.looks.operator().typed(&act.words("TEXT"));
    let view = shared.view(&headers);
    page(view::confirm(&view, &act, &token, &typed, rehearsal.as_ref())).into_response()
}

#[derive(Debug, Deserialize)]
struct Confirmed {
    token: String,
    #[serde(default)]
    why: String,
    #[serde(default)]
    number: String,
}

async fn begin(State(place): State<Place>, Form(confirmed): Form<Confirmed>) -> Response {
    let shared = &place.shared;
    let number = confirmed.number.trim().parse().ok();
    let begun =
        shared.acts.begin(shared.looks.operator(), &confirmed.token, &confirmed.why, number);
    match begun {
        Ok(id) => leads_to(&format!("/acts/{id}")),
        Err(error) => page(view::error(&error.to_string())).into_response(),
    }
}

/// Where the browser goes next. Source: htmx, "HX-Redirect".
fn leads_to(path: &str) -> Response {
    let name = HeaderName::from_static("hx-redirect");
    match HeaderValue::from_str(path) {
        Ok(path) => ([(name, path)], "").into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Tells whenever there is a new status, or something new of an act.
async fn news(
    State(place): State<Place>,
) -> Sse<impl Stream<Item = Result<Event, std::convert::Infallible>>> {
    let following = (
        place.shared.looks.status(),
        place.shared.acts.changes(),
        place.shared.live.changes(),
        place.closed.clone(),
    );
    let told = || Ok(Event::default().event("news").data("news"));
    // What happened between the page's making and this is news as well.
    let first = futures_util::stream::once(async move { told() });
    let later = futures_util::stream::unfold(following, move |mut following| async move {
        let (status, acts, live, closed) = &mut following;
        let (is_news, is_live) = tokio::select! {
            changed = status.changed() => (changed.is_ok(), false),
            changed = acts.changed() => (changed.is_ok(), false),
            changed = live.changed() => (changed.is_ok(), true),
            _ = closed.wait_for(|closed| *closed) => (false, false),
        };
        if is_live {
            // Much may come at once.
            tokio::time::sleep(LIVE_TOLD_EVERY).await;
        }
        is_news.then(|| (told(), following))
    });
    Sse::new(first.chain(later)).keep_alive(KeepAlive::default())
}

#[derive(Debug, Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
}

async fn start(
    State(place): State<Place>,
    method: Method,
    headers: HeaderMap,
    Query(given): Query<Token>,
) -> Response {
    // What only looks whether there is a page uses no token up.
    if method == Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    enter(&place.shared, &headers, &given.token)
}

async fn start_typed(
    State(place): State<Place>,
    headers: HeaderMap,
    Form(given): Form<Token>,
) -> Response {
    enter(&place.shared, &headers, given.token.trim())
}

fn enter(shared: &Shared, headers: &HeaderMap, token: &str) -> Response {
    let view = shared.view(headers);
    let Some((name, cookie)) = shared.guard.start(token) else {
        let page = page(view::start(&view, !token.is_empty()));
        return (StatusCode::UNAUTHORIZED, page).into_response();
    };
    let cookie = format!("{name}={cookie}; Path=/; HttpOnly; SameSite=Strict");
    ([(SET_COOKIE, cookie)], page(view::entered(&view, shared.act_secret.as_deref())))
        .into_response()
}

async fn not_found(State(place): State<Place>, headers: HeaderMap) -> Response {
    let view = place.shared.view(&headers);
    let known = place.shared.guard.knows(&headers).is_ok();
    let page = if known {
        view.page(Screen::Now, &html! { p { (view.t(Text::NotFound)) } })
    } else {
        view::start(&view, false)
    };
    (StatusCode::NOT_FOUND, Html(page.into_string())).into_response()
}
