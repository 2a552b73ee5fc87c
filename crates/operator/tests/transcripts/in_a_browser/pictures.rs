//! The pictures of the documents: what a browser shows of answers that never change. `TRANSCRIPTS=write`
//! takes them anew; otherwise they are compared, and nothing is written.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ::page::{Operator, Page};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::browser::{Browser, Window};
use crate::page::is_writing;

/// What the commands say, by the command's name.
const ANSWERS: &str = include_str!("pictures.json");

const SCRIPT: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
case "$1" in dlq) name="dlq-$2" ;; *) name="$1" ;; esac
case "$*" in *--history=*) name=history ;; *--routes*) name=routes ;; esac
[ "$name" = logs ] && exec tail -n +1 -f logs.json
exec cat "$name.json"
"#;

/// Fonts that the pictures were taken with: with others they are not comparable.
const FONTS: [(&str, &str); 2] =
    [("system-ui", "DejaVu Sans"), ("sans-serif:lang=ja", "Noto Sans CJK JP")];

/// Of cells of four by four pixels, so many may differ: as one letter does, and no line.
const DIFFERS_MAX: f64 = 0.004;

/// The largest file, in bytes: pictures stay in the repository's history.
const BYTES_MAX: usize = 60_000;

/// What is below this is left out, in CSS pixels.
const HEIGHT_MAX: u64 = 1_500;

const LOADED: &str = r"
const loaded = async (png) => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  return image;
};
const pixels = (image, width, height) => {
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
};";

/// The picture in the colours that it has most of, each pixel as the place of the nearest one.
const FEW_COLOURS: &str = r"
const image = await loaded(picture);
const { width, height } = image;
const all = new Uint32Array(pixels(image, width, height).buffer);
const counts = new Map();
for (const colour of all) counts.set(colour, (counts.get(colour) ?? 0) + 1);
const palette = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 64).map(([colour]) => colour);
const parts = (colour) => [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255];
const rgb = palette.map(parts);
const places = new Map();
const place = (colour) => {
  const of = parts(colour);
  const far = rgb.map((it) => it.reduce((sum, part, at) => sum + (part - of[at]) ** 2, 0));
  return far.indexOf(Math.min(...far));
};
let text = '';
for (const colour of all) {
  if (!places.has(colour)) places.set(colour, place(colour));
  text += String.fromCharCode(places.get(colour));
}
return JSON.stringify({ width, height, palette: rgb.flat(), pixels: btoa(text) });";

/// How much of two pictures differs, from 0 to 1.
const DIFFERENCE: &str = r"
const [one, other] = [await loaded(picture), await loaded(kept)];
if (one.width !== other.width || Math.abs(one.height - other.height) > 8) return '1';
const [width, height] = [one.width >> 2, Math.min(one.height, other.height) >> 2];
const [a, b] = [one, other].map((it) => pixels(it, width, height));
let differ = 0;
for (let at = 0; at < a.length; at += 4) {
  if ([0, 1, 2].some((part) => Math.abs(a[at + part] - b[at + part]) > 48)) differ += 1;
}
return String(differ / (width * height));";

/// A page of which nothing changes. It ends when dropped.
struct Fixed {
    dir: tempfile::TempDir,
    address: SocketAddr,
    _end: oneshot::Sender<()>,
}

impl Fixed {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("operator");
        fs::write(&program, SCRIPT).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut answers: Value = serde_json::from_str(ANSWERS).unwrap();
        answers["history"] = history();
        for (name, answer) in answers.as_object().unwrap() {
            let is_lines = ["logs", "dlq-log"].contains(&name.as_str());
            let text = match answer.as_array().filter(|_| is_lines) {
                Some(lines) => {
                    lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n"
                }
                None => answer.to_string(),
            };
            fs::write(dir.path().join(format!("{name}.json")), text).unwrap();
        }
        let operator = Operator::new(program, "shop".to_owned(), Vec::new());
        let page = Page { operator, is_aws: false, acts: true, port: 0 };
        let (end, ended) = oneshot::channel::<()>();
        let (told, tell) = std::sync::mpsc::channel();
        let door = dir.path().join("door.html");
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let start = page.listen().await.unwrap();
                start.write_door(&door).unwrap();
                told.send(start.address().unwrap()).unwrap();
                start.serve(async { drop(ended.await) }).await.unwrap();
            });
        });
        Self { dir, address: tell.recv().unwrap(), _end: end }
    }
}

/// An hour in which the service was away for some minutes.
fn history() -> Value {
    let minute = |n: u64| {
        let is_away = (31..38).contains(&n);
        let accepted = 40 + n * 7 % 13;
        let delivered = if is_away { 0 } else { accepted + if n == 38 { 250 } else { 0 } };
        json!({
            "at": format!("2027-01-15T02:{n:02}:00Z"), "accepted": accepted, "delivered": delivered,
            "failed": if is_away { 9 } else { 0 }, "dead_lettered": u64::from(n == 45),
            "p50_ms": (!is_away).then_some(if n == 38 { 240_000 } else { 12 + n % 5 }),
            "p99_ms": (!is_away).then_some(if n == 38 { 400_000 } else { 45 + n * 3 % 17 }),
        })
    };
    json!({
        "host": "engine", "minutes": (0..60).map(minute).collect::<Vec<_>>(), "steps": [],
        "unknown": [],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_looks_as_its_picture_shows() {
    for (wanted, family) in FONTS {
        let mut ask = tokio::process::Command::new("fc-match");
        let said = ask.args(["-f", "%{family}", wanted]).output().await;
        if !said.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).starts_with(family)) {
            println!("skipped: {wanted} is not {family} here, which the pictures were taken with");
            return;
        }
    }
    // In commands to be typed, not the test's own.
    commands::program::called_as("webhook-operator");
    let light = Window { width: 1_000, ..Window::default() };
    let dark = Window { is_dark: true, ..light };
    let narrow = Window { width: 390, ..light };
    let japanese = Window { language: "ja", ..light };
    let mut wrong = Vec::new();
    for (window, screens) in [
        (
            light,
            &[
                ("now", "/", "You must act"),
                ("live", "/live", "order-12"),
                ("keys", "/keys", "order-7"),
                ("dead-letters", "/dead-letters", "i-4f2a91c7"),
                ("event", "/event?q=order-7", "no such order"),
                ("refused", "/refused", "/sqs-hook"),
                ("routes", "/routes", "github"),
                ("acts", "/acts", "fixed in 4.3"),
            ][..],
        ),
        (dark, &[("now-dark", "/", "You must act")]),
        (narrow, &[("dead-letters-390", "/dead-letters", "i-4f2a91c7")]),
        (japanese, &[("event-ja", "/event?q=order-7", "no such order")]),
    ] {
        let fixed = Fixed::start();
        let Some(browser) = Browser::open(window).await else { return };
        browser.go(&format!("file://{}", fixed.dir.path().join("door.html").display())).await;
        browser.until("the first screen", |text| text.contains("order-7")).await;
        for (name, path, text) in screens {
            browser.go(&format!("http://{}{path}", fixed.address)).await;
            browser.until(name, |shown| shown.contains(text)).await;
            drawn(&browser).await;
            wrong.extend(check(&browser, name).await);
            if *name == "dead-letters" {
                browser.press("form:has(input[name=issue][value^=i-4f2a]) button").await;
                browser.until("what it asks", |shown| shown.contains("Do it")).await;
                wrong.extend(check(&browser, "confirm").await);
            }
        }
    }
    assert!(wrong.is_empty(), "TRANSCRIPTS=write takes pictures anew:\n{}", wrong.join("\n"));
}

/// Waits until the charts are there, if there are any.
async fn drawn(browser: &Browser) {
    let limit = Instant::now() + Duration::from_mins(1);
    let left = "return document.querySelectorAll('.chart:not(:has(canvas))').length";
    while browser.eval(left).await != 0 {
        assert!(Instant::now() < limit, "the charts are drawn");
    }
}

/// Compares a screen with its picture, or takes that; says what is wrong.
async fn check(browser: &Browser, name: &str) -> Option<String> {
    // What is empty below is left out.
    let size = "return [innerWidth, Math.ceil(document.querySelector('main').getBoundingClientRect().bottom)]";
    let size = browser.eval(size).await;
    let height = size[1].as_u64().unwrap().min(HEIGHT_MAX);
    let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": height, "scale": 1 });
    let taken = json!({ "format": "png", "clip": clip, "captureBeyondViewport": true });
    let taken = browser.devtools("Page.captureScreenshot", &taken).await;
    let taken = taken["data"].as_str().unwrap();
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/page");
    let file = docs.join(format!("{name}.png"));
    if is_writing() {
        let picture = png(&run(browser, &[("picture", taken)], FEW_COLOURS).await);
        fs::create_dir_all(docs).unwrap();
        fs::write(&file, picture).unwrap();
    }
    let Ok(kept) = fs::read(&file) else { return Some(format!("{name} has no picture")) };
    if kept.len() > BYTES_MAX {
        return Some(format!("{name} is {} bytes", kept.len()));
    }
    let kept = STANDARD.encode(kept);
    let differs = run(browser, &[("picture", taken), ("kept", &kept)], DIFFERENCE).await;
    let differs: f64 = differs.parse().unwrap();
    println!("{name}: {differs:.5}");
    (differs > DIFFERS_MAX).then(|| format!("{name}: {differs:.4} of it differs"))
}

/// What a script says of these pictures.
async fn run(browser: &Browser, pictures: &[(&str, &str)], script: &str) -> String {
    let given: Vec<String> =
        pictures.iter().map(|(name, it)| format!("const {name} = \"{it}\";")).collect();
    let given = given.join("\n");
    let expression = format!("(async () => {{ {LOADED}\n{given}\n{script} }})()");
    let parameters =
        json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
    let answer = browser.devtools("Runtime.evaluate", &parameters).await;
    let said = answer["result"]["value"].as_str();
    said.unwrap_or_else(|| panic!("{}", answer["exceptionDetails"])).to_owned()
}

/// The file of a picture of few colours. Source: W3C, "Portable Network Graphics", third edition.
fn png(picture: &str) -> Vec<u8> {
    let picture: Value = serde_json::from_str(picture).unwrap();
    let number = |name: &str| u32::try_from(picture[name].as_u64().unwrap()).unwrap();
    let palette: Vec<u8> = serde_json::from_value(picture["palette"].clone()).unwrap();
    let pixels = STANDARD.decode(picture["pixels"].as_str().unwrap()).unwrap();
    let mut zip = ZlibEncoder::new(Vec::new(), Compression::best());
    for row in pixels.chunks(usize::try_from(number("width")).unwrap()) {
        // As it is: no filter.
        zip.write_all(&[0]).unwrap();
        zip.write_all(row).unwrap();
    }
    let mut head = [number("width").to_be_bytes(), number("height").to_be_bytes()].concat();
    // Eight bits of a palette.
    head.extend([8, 3, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let pixels = zip.finish().unwrap();
    for (kind, data) in
        [(b"IHDR", head), (b"PLTE", palette), (b"IDAT", pixels), (b"IEND", Vec::new())]
    {
        let mut check = Crc::new();
        check.update(kind);
        check.update(&data);
        file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        file.extend(kind);
        file.extend(data);
        file.extend(check.sum().to_be_bytes());
    }
    file
}
