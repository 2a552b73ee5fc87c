//! A function whose behaviour a test chooses. It is this very test program, started again by the
//! engine: [`entry`] runs in it, as the body of a test named `function_process`.
//!
//! It does what the first matching line of its script says, by a part of the message's body:
//!
//! | line | what it does with the batch |
//! |---|---|
//! | `PART ok` | is done with all of it |
//! | `PART keep` | reports the messages whose body contains PART as failed |
//! | `PART error` | reports a function error |
//! | `PART garbage` | answers something that is no batch response |
//! | `PART exit` | ends in the middle |
//! | `PART hang` | never answers |
//!
//! Before that it writes the bodies into the record, one a line. A script that begins with `init`
//! makes it fail to start. One that is `ask` makes it ask for an event; `leave` then makes it hang up, which
//! `left` in the record says; and with any other script after that it ends.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A function on disk.
pub(crate) struct Function {
    dir: tempfile::TempDir,
}

impl Function {
    /// A function that follows `script`.
    pub(crate) fn new(script: &str) -> Self {
        let function = Self { dir: tempfile::tempdir().unwrap() };
        function.set_script(script);
        File::create(function.record_file()).unwrap();
        let program = std::env::current_exe().unwrap();
        // Written under another name first: an executable that is open for writing cannot be run,
        // and another test may be forking just now.
        let text = format!(
            "#!/bin/sh\nFUNCTION_DIR='{}' exec '{}' --exact function_process --nocapture\n",
            function.dir.path().display(),
            program.display()
        );
        std::fs::write(function.dir.path().join("new"), text).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(function.dir.path().join("new"), mode).unwrap();
        std::fs::rename(function.dir.path().join("new"), function.executable()).unwrap();
        function
    }

    /// What the engine is to start.
    pub(crate) fn executable(&self) -> PathBuf {
        self.dir.path().join("function")
    }

    /// Changes what it does from the next batch on.
    pub(crate) fn set_script(&self, script: &str) {
        let new = self.dir.path().join("script.new");
        std::fs::write(&new, script).unwrap();
        std::fs::rename(new, self.dir.path().join("script")).unwrap();
    }

    /// What it writes to its log with each batch from the next on.
    pub(crate) fn set_lines(&self, lines: &str) {
        let new = self.dir.path().join("lines.new");
        std::fs::write(&new, format!("{lines}\n")).unwrap();
        std::fs::rename(new, self.dir.path().join("lines")).unwrap();
    }

    /// The bodies that arrived, in order; repeats are repeated.
    pub(crate) fn record(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.record_file()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until `accepts` takes the record.
    pub(crate) async fn wait_for(&self, accepts: impl Fn(&[String]) -> bool) -> Vec<String> {
        let limit = std::time::Instant::now() + std::time::Duration::from_mins(1);
        loop {
            let record = self.record();
            if accepts(&record) {
                return record;
            }
            assert!(std::time::Instant::now() < limit, "the record is {record:?}");
            // A file tells nobody that it has grown.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    fn record_file(&self) -> PathBuf {
        self.dir.path().join("record")
    }
}

/// The body of the test `function_process`: nothing, unless the engine started it.
pub(crate) fn entry() {
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else { return };
    let dir = PathBuf::from(std::env::var("FUNCTION_DIR").expect("the script sets it"));
    if let Some(reason) = script(&dir).strip_prefix("init ") {
        let body = json!({ "errorType": "Runtime.InitError", "errorMessage": reason.trim() });
        call(&api, "POST", "runtime/init/error", &body.to_string());
        std::process::exit(1);
    }
    if script(&dir) == "ask" {
        ask_and_leave(&api, &dir);
    }
    eprintln!("a line on stderr");
    println!("{}", json!({ "message": "a line on stdout", "level": "INFO" }));
    println!("{{ is no JSON");
    loop {
        let (head, event) = call(&api, "GET", "runtime/invocation/next", "");
        let request_id = header(&head, "lambda-runtime-aws-request-id");
        let (path, answer) = work(&dir, &event);
        let path = format!("runtime/invocation/{request_id}/{path}");
        call(&api, "POST", &path, &answer);
    }
}

/// Nobody takes what it is offered after this, though it lives.
fn ask_and_leave(api: &str, dir: &Path) {
    let while_script_is = |name| {
        while script(dir) == name {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    let (address, root) = address_and_root(api);
    let mut stream = TcpStream::connect(address).unwrap();
    let head =
        format!("GET /{root}/2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: h\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    while_script_is("ask");
    stream.shutdown(Shutdown::Write).unwrap();
    // The engine has noticed once it hangs up, too.
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    record(dir, "left\n");
    while_script_is("leave");
    std::process::exit(4);
}

/// In one write, which the system does not interleave with those of other processes.
fn record(dir: &Path, lines: &str) {
    let mut file = OpenOptions::new().append(true).open(dir.join("record")).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
}

fn script(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("script")).unwrap()
}

fn work(dir: &Path, event: &str) -> (&'static str, String) {
    let event: Value = serde_json::from_str(event).unwrap();
    let records = event["Records"].as_array().unwrap();
    let body = |record: &Value| record["body"].as_str().unwrap().to_owned();
    let lines: String = records.iter().map(|record| body(record) + "\n").collect();
    record(dir, &lines);
    if let Ok(lines) = std::fs::read_to_string(dir.join("lines")) {
        print!("{lines}");
        std::io::stdout().flush().unwrap();
    }
    let script = script(dir);
    let chosen = script
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(part, _)| records.iter().any(|record| body(record).contains(part)));
    let failures = |part: &str| -> Vec<Value> {
        let failed = records.iter().filter(|record| body(record).contains(part));
        failed.map(|record| json!({ "itemIdentifier": record["messageId"] })).collect()
    };
    match chosen {
        None | Some((_, "ok")) => ("response", json!({ "batchItemFailures": [] }).to_string()),
        Some((part, "keep")) => {
            ("response", json!({ "batchItemFailures": failures(part) }).to_string())
        }
        Some((_, "garbage")) => ("response", "delivered!".to_owned()),
        Some((_, "error")) => {
            ("error", json!({ "errorType": "Test", "errorMessage": "as asked" }).to_string())
        }
        Some((_, "exit")) => std::process::exit(3),
        Some((_, "hang")) => loop {
            std::thread::park();
        },
        Some((_, other)) => panic!("the script says {other}"),
    }
}

/// One exchange with the Runtime API. Ends the process when the engine is gone, as Lambda's runtimes do.
fn call(api: &str, method: &str, path: &str, body: &str) -> (String, String) {
    try_call(api, method, path, body).unwrap_or_else(|_| std::process::exit(9))
}

fn try_call(api: &str, method: &str, path: &str, body: &str) -> std::io::Result<(String, String)> {
    let (address, root) = address_and_root(api);
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        stream,
        "{method} /{root}/2018-06-01/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )?;
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut answer = vec![0; header(&head, "content-length").parse().unwrap_or_default()];
    stream.read_exact(&mut answer)?;
    Ok((head, String::from_utf8(answer).unwrap()))
}

fn address_and_root(api: &str) -> (&str, &str) {
    api.strip_prefix("http://").unwrap().split_once('/').unwrap()
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let pairs = head.lines().filter_map(|line| line.split_once(':'));
    let mut values = pairs.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim());
    values.next().unwrap_or_default()
}
