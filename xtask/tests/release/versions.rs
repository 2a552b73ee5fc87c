//! An upgrade from the archive of a former version and the way back, by `docs/one-machine.md`, with events
//! waiting and more coming.

use std::fs;

use crate::is_root;
use crate::page::{NOBODY, SERVICE, play};
use crate::runbook::stub;

/// 40 events wait, the last 20 come while the copy is made. `post` prints the status.
const SCRIPT: &str = r#"
mkdir former this
tar xzf former.tar.gz -C former
tar xzf webhook-queue-*.tar.gz -C this
operator() { sudo webhook-operator "$@" --data-dir /var/lib/webhook-queue; }
post() {
  for n in $(seq "$1" "$2"); do
    curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:8080/sqs-hook -H "x-workflow-id: order-$((n % 4))" \
      -H 'content-type: application/json' -d "{\"n\":$n}"
  done | sort | uniq -c
}
received() { curl -sf "http://127.0.0.1:3000/_stub/received?at_least=$1&wait_ms=60000" >"$2"; }
sudo former/webhook-queue-*/install.sh
sudo systemctl enable --now webhook-queue
post 1 40
operator pause prod --why upgrade
post 41 60 >posted &
posting=$!
sudo webhook-engine backup --data-dir /var/lib/webhook-queue before.db
wait $posting
cat posted
sudo this/webhook-queue-*/install.sh
sudo systemctl restart webhook-queue
echo -- upgraded
operator status prod --json | jq -c '[.queue.events, .delivery.paused]'
./sss-stub --listen 127.0.0.1:3000 --quiet >/dev/null &
operator resume prod
received 60 upgraded.json
jq -c '[length, ([group_by(.group)[] | [.[].body | fromjson | .n] | . == sort] | all)]' upgraded.json

sudo systemctl stop webhook-queue
sudo former/webhook-queue-*/install.sh
echo -- back
if sudo systemctl start webhook-queue 2>refusal; then echo "it starts"; sudo systemctl stop webhook-queue; else tail -n 1 refusal; fi
sudo webhook-engine restore --data-dir /var/lib/webhook-queue --replace before.db >/dev/null
curl -sf -X DELETE http://127.0.0.1:3000/_stub/received >/dev/null
sudo systemctl start webhook-queue
operator resume prod
received 40 back.json
jq -cs '(.[0] | map(.id)) as $ids | [(.[1] | length >= 40), (.[1] | all(.id | IN($ids[])))]' upgraded.json back.json
"#;

#[test]
fn an_upgrade_takes_along_what_waits_and_a_copy_leads_back() {
    let Some(former) = std::env::var_os("FORMER_ARCHIVE") else {
        eprintln!("not run: FORMER_ARCHIVE names no archive of a former version");
        return;
    };
    // Only root can be other users.
    let (namespaces, user, service_user): (&[&str], _, _) =
        if is_root() { (&[], NOBODY, SERVICE) } else { (&["--map-root-user"], 0, 0) };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("former.tar.gz");
    fs::copy(former, &file).unwrap();
    let Some(said) = play(namespaces, user, service_user, SCRIPT, &[&file, &stub()]) else {
        return;
    };
    let (before, said) = said.split_once("-- upgraded\n").unwrap();
    let accepted = |count| before.lines().any(|it| it.trim() == format!("{count} 200"));
    assert!(accepted(40) && accepted(20), "{before}");
    let (upgraded, back) = said.split_once("-- back\n").unwrap();
    let lines: Vec<&str> = upgraded.lines().filter(|it| it.starts_with('[')).collect();
    // Everything waits, paused as before; then all of it arrives, each group in order.
    assert_eq!(lines, ["[60,true]", "[60,true]"], "{upgraded}");
    let refusal = back.lines().next().unwrap();
    let is_refused = refusal.contains("use a newer engine") || refusal == "it starts";
    assert!(is_refused, "{back}");
    assert!(back.trim_end().ends_with("[true,true]"), "what was delivered comes again: {back}");
}
