//! The archive's Caddyfile in front of the archive's engine: a signed event over https, and nothing else,
//! gets through.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::runbook::stub;
use crate::{text, unpacked};

/// A signature, and what it is of. Source: GitHub, "Validating webhook deliveries", "Testing the webhook
/// payload validation".
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &str = "Hello, World!";
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// With a certificate of Caddy's own authority, as nobody here owns the name.
const CADDY_OPTIONS: &str = "{\n\tlocal_certs\n\tskip_install_trust\n\tadmin off\n}\n";

/// Arguments: the folder of the archive, one for everything else, the stand-in, body and signature.
const SCRIPT: &str = r#"
archive=$1 dir=$2 stub=$3 body=$4 signature=$5
ip link set lo up
"$stub" --listen 127.0.0.1:3000 --quiet >/dev/null &
"$archive/bin/webhook-engine" --config "$dir/config.json" --data-dir "$dir/data" \
  --forwarder "$archive/bin/forwarder" >/dev/null & engine=$!
XDG_DATA_HOME="$dir" XDG_CONFIG_HOME="$dir" caddy run --adapter caddyfile --config "$dir/Caddyfile" \
  2>"$dir/caddy.log" & caddy=$!
until "$archive/bin/webhook-engine" health >/dev/null 2>&1; do kill -0 $engine; done
saas() {
  path=$1
  shift
  curl -s --max-time 20 --resolve hooks.example.com:443:127.0.0.1 --resolve hooks.example.com:80:127.0.0.1 \
    --cacert "$dir/caddy/pki/authorities/local/root.crt" -o /dev/null -w '%{http_code}\n' "$@" \
    "https://hooks.example.com$path"
}
until saas / >/dev/null; do kill -0 $caddy || { cat "$dir/caddy.log" >&2; exit 1; }; done
post() {
  saas /sqs-hook -H 'x-workflow-id: order-7' -H "x-github-delivery: $1" -H "x-hub-signature-256: $2" -H 'content-type: text/plain' --data-binary "$body"
}
echo "signed $(post event-1 "$signature")"
echo "forged $(post event-2 sha256=00)"
for path in / /healthz /metrics /_engine/status /sqs-hook/; do echo "$path $(saas $path)"; done
echo "http $(curl -s -o /dev/null -w '%{http_code} %{redirect_url}' --resolve hooks.example.com:80:127.0.0.1 http://hooks.example.com/sqs-hook)"
until dead=$("$archive/bin/webhook-operator" dlq list --data-dir "$dir/data" --json) && echo "$dead" | grep -q event-2; do
  kill -0 $engine
done
echo "$dead" >"$dir/dead.json"
curl -sf 'http://127.0.0.1:3000/_stub/received?at_least=1&wait_ms=60000' >"$dir/received.json"
"#;

#[test]
fn a_signed_event_arrives_over_https_and_nothing_else_of_the_engine_is_reached() {
    if !Command::new("caddy").arg("version").output().is_ok_and(|it| it.status.success()) {
        eprintln!("not run: caddy is not here");
        return;
    }
    let unshare = ["--map-root-user", "--net", "--pid", "--fork", "--kill-child"];
    let allowed = Command::new("unshare").args(unshare).args(["ip", "link"]).output();
    if !allowed.is_ok_and(|it| it.status.success()) {
        eprintln!("not run: there are no namespaces here, or no ip to have a network in them");
        return;
    }
    let root = &unpacked().root;
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let caddyfile = CADDY_OPTIONS.to_owned() + &read("Caddyfile");
    fs::write(dir.path().join("Caddyfile"), caddyfile).unwrap();
    fs::write(dir.path().join("secret"), SECRET).unwrap();
    let secret = format!("file:{}", dir.path().join("secret").display());
    let mut config: Value = serde_json::from_str(&read("config.json")).unwrap();
    let route = &mut config["routes"]["webhook"];
    route["verify"] = json!({ "scheme": "github", "secrets": [secret] });
    route["event_id"] = json!("$request.header.x-github-delivery");
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();

    let output = Command::new("unshare")
        .args(unshare)
        .args(["sh", "-euc", SCRIPT, "sh"])
        .args([root, dir.path(), &stub()])
        .args([BODY, SIGNATURE])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "signed 200\nforged 200\n/ 404\n/healthz 404\n/metrics 404\n/_engine/status 404\n\
         /sqs-hook/ 404\nhttp 308 https://hooks.example.com/sqs-hook\n"
    );
    let json = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(dir.path().join(name)).unwrap()).unwrap()
    };
    let received = json("received.json");
    assert_eq!(received.as_array().unwrap().len(), 1, "{received}");
    let (event, headers) = (&received[0], &received[0]["headers"]);
    assert_eq!((&event["id"], &event["body"]), (&json!("event-1"), &json!(BODY)), "{event}");
    assert_eq!(event["group"], "order-7");
    // What the configuration passes on, from behind Caddy as from the SaaS; and nothing that Caddy adds.
    assert_eq!(
        (&headers["x-workflow-id"], &headers["content-type"]),
        (&json!("order-7"), &json!("text/plain"))
    );
    assert!(!headers.to_string().contains("hooks.example.com"), "{headers}");
    let dead = json("dead.json").to_string();
    assert!(dead.contains("\"unverified\"") && !dead.contains("event-1"), "{dead}");
}
