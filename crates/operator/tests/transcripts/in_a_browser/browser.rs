//! Chromium, driven as a person would.
//!
//! Sources: W3C, "`WebDriver`"; `ChromeDriver`, "Capabilities" and "Performance Log".

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Longest wait for something that is to be seen.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at what does not tell when it changes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a window looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) language: &'static str,
    /// In CSS pixels.
    pub(crate) width: u32,
    pub(crate) is_dark: bool,
    pub(crate) has_script: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self { language: "en", width: 1_200, is_dark: false, has_script: true }
    }
}

/// A window with a profile of its own. Closed when dropped.
pub(crate) struct Browser {
    pub(crate) client: Client,
    session: String,
    driver_port: u16,
    clicks: AtomicU32,
    _driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Opens one; `None`, with a word, where there is none on this machine.
    pub(crate) async fn open(window: Window) -> Option<Self> {
        let (driver, driver_port) = driver().await?;
        let profile = tempfile::tempdir().unwrap();
        let Window { language, width, has_script, .. } = window;
        let options = json!({
            "args": [
                "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                "--hide-scrollbars", "--force-color-profile=srgb", format!("--lang={language}"),
                format!("--user-data-dir={}", profile.path().display()),
            ],
            "prefs": {
                "intl.accept_languages": language,
                "profile.managed_default_content_settings.javascript": if has_script { 1 } else { 2 },
            },
            "mobileEmulation": {
                "deviceMetrics": { "width": width, "height": 900, "pixelRatio": 1, "touch": false, "mobile": false },
            },
        });
        let capabilities = json!({
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "performance": "ALL" },
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let client = match builder.connect(&format!("http://127.0.0.1:{driver_port}")).await {
            Ok(client) => client,
            // Such as for want of what it needs of the system.
            Err(error) => {
                println!("skipped: no browser starts: {error}");
                return None;
            }
        };
        let session = client.session_id().await.unwrap().unwrap();
        let clicks = AtomicU32::new(0);
        let browser =
            Self { client, session, driver_port, clicks, _driver: driver, _profile: profile };
        let scheme = if window.is_dark { "dark" } else { "light" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        browser.devtools("Emulation.setEmulatedMedia", &json!({ "features": features })).await;
        let zone = json!({ "timezoneId": "Asia/Tokyo" });
        browser.devtools("Emulation.setTimezoneOverride", &zone).await;
        Some(browser)
    }

    /// Has the browser's own tools do something.
    pub(crate) async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.client.issue_cmd(Vendor { path: "goog/cdp/execute", body }).await.unwrap()
    }

    /// Where requests went to since the last time.
    pub(crate) async fn requested(&self) -> Vec<String> {
        let body = json!({ "type": "performance" });
        let log = self.client.issue_cmd(Vendor { path: "se/log", body }).await.unwrap();
        let entries = log.as_array().unwrap().iter();
        let requests = entries.filter_map(|entry| {
            let entry: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let sent = entry["message"]["method"] == "Network.requestWillBeSent";
            let url = &entry["message"]["params"]["request"]["url"];
            sent.then(|| url.as_str().unwrap().to_owned())
        });
        requests.collect()
    }

    pub(crate) async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Presses what a rule of CSS chooses, once it is there.
    pub(crate) async fn press(&self, css: &str) {
        let limit = Instant::now() + PATIENCE;
        loop {
            let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css));
            let found = found.await.unwrap_or_else(|error| panic!("{css}: {error}"));
            // The page may have taken another's place just then.
            match found.click().await {
                Ok(()) => {
                    self.clicks.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Err(error) => assert!(Instant::now() < limit, "{css}: {error}"),
            }
        }
    }

    /// How often something was pressed since the last time.
    pub(crate) fn clicks(&self) -> u32 {
        self.clicks.swap(0, Ordering::Relaxed)
    }

    /// Types into a field.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css));
        field.await.unwrap().send_keys(text).await.unwrap();
    }

    /// Goes on to what can be used next.
    pub(crate) async fn tab(&self) {
        for kind in ["keyDown", "keyUp"] {
            let key =
                json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 });
            self.devtools("Input.dispatchKeyEvent", &key).await;
        }
    }

    /// What a person reads.
    pub(crate) async fn text(&self) -> String {
        let text = self.client.execute("return document.body.innerText", Vec::new()).await;
        text.unwrap().as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a person reads what `accepts` wants, and gives it.
    pub(crate) async fn until(&self, what: &str, accepts: impl Fn(&str) -> bool) -> String {
        let limit = Instant::now() + PATIENCE;
        loop {
            let text = self.text().await;
            if accepts(&text) {
                return text;
            }
            assert!(Instant::now() < limit, "{what} is not there:\n{text}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What a script finds in the page.
    pub(crate) async fn eval(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver's end alone would leave its browser.
        if let Ok(mut driver) = TcpStream::connect(("127.0.0.1", self.driver_port)) {
            let _unset = driver.set_read_timeout(Some(Duration::from_secs(10)));
            let request = format!(
                "DELETE /session/{} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
                self.session
            );
            let _gone = driver.write_all(request.as_bytes());
            let _answer = driver.read(&mut [0; 1024]);
        }
    }
}

/// A driver, and where it listens; `None`, with a word, where there is none on this machine.
async fn driver() -> Option<(Child, u16)> {
    let limit = Instant::now() + PATIENCE;
    loop {
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let Ok(mut driver) = driver.spawn() else {
            println!("skipped: chromedriver is not installed (Debian: chromium-driver)");
            return None;
        };
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        while let Some(line) =
            tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap()
        {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                // Its later lines have a reader for as long as it runs.
                tokio::spawn(async move { while let Ok(Some(_line)) = lines.next_line().await {} });
                return Some((driver, port.trim_end_matches('.').parse().unwrap()));
            }
        }
        // Another one that started just then may have taken its port.
        assert!(Instant::now() < limit, "chromedriver says where it listens");
    }
}

/// A command of `ChromeDriver`'s own.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(
        &self,
        base_url: &url::Url,
        session_id: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _url: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
