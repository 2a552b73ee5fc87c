//! Events that an operator wants out of the way of their groups.

use std::fs;
use std::path::PathBuf;

use contract_tests::event::{Record, message};
use contract_tests::fake_aws::FakeAws;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::config_with;
use contract_tests::sss::Sss;
use contract_tests::within_patience;
use domain::config::{ConfigFile, HiddenText, SecretsFile, SignFile};
use domain::dead_letter::Class;
use domain::environment::SKIPS_VARIABLE;
use domain::route::OnReject;
use domain::skip::Skips;

use crate::{NONE, lines, status};

const PARAMETER: &str = "/test/webhook/skips";

fn blocking(url: &str) -> ConfigFile {
    config_with(url, |route| route.on_reject = OnReject::Block)
}

fn numbered(id: &str, group: &str, sequence: &str) -> Record {
    message(id, group).system_attribute("SequenceNumber", sequence)
}

fn list(skips: &[(&str, &str)]) -> String {
    let mut list = Skips::default();
    for (event_id, sequence) in skips {
        list.add(event_id, sequence);
    }
    list.to_json().unwrap()
}

/// A list on one machine.
struct SkipsFile(tempfile::TempDir);

impl SkipsFile {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("skips.json")
    }

    fn write(&self, skips: &[(&str, &str)]) {
        fs::write(self.path(), list(skips)).unwrap();
    }

    async fn forwarder(&self, config: ConfigFile) -> Forwarder {
        let place = format!("file:{}", self.path().display());
        Forwarder::start_with_more(config, [(SKIPS_VARIABLE, place)]).await
    }
}

#[tokio::test]
async fn a_skipped_event_is_dead_lettered_and_its_group_goes_on_in_order() {
    for code in [422, 503] {
        let (sss, skips) = (Sss::start().await, SkipsFile::new());
        sss.answer("m-1", [status(code)]);
        let batch =
            || [numbered("m-1", "a", "1"), numbered("m-2", "a", "2"), numbered("m-3", "a", "3")];
        let before = skips.forwarder(blocking(&sss.url())).await;
        assert_eq!(before.invoke(batch()).await, ["m-1", "m-2", "m-3"], "{code}");
        assert_eq!(sss.event_ids(), ["evt-m-1"], "what is behind waits");

        skips.write(&[("evt-m-1", "1")]);
        let forwarder = skips.forwarder(blocking(&sss.url())).await;
        assert_eq!(forwarder.invoke(batch()).await, NONE);
        assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-1", "evt-m-2", "evt-m-3"]);
        let dead_letters = forwarder.sqs().dead_letters();
        assert_eq!(dead_letters.len(), 1);
        assert_eq!(dead_letters[0].failure.class, Class::Skipped);
        assert_eq!(dead_letters[0].failure.status, Some(code));
        let log = forwarder.kill().await;
        assert_eq!(lines(&log, "skipped")[0]["event_id"], "evt-m-1");
        assert_eq!(lines(&log, "dead_lettered")[0]["reason"], "skipped");
    }
}

/// The secret may be what cannot be had for days.
#[tokio::test]
async fn an_event_is_skipped_while_its_secret_is_missing() {
    let (sss, skips) = (Sss::start().await, SkipsFile::new());
    let mut config = blocking(&sss.url());
    let secrets = SecretsFile(vec![HiddenText("env:NOWHERE".to_owned())]);
    config.routes.get_mut("sss").unwrap().destinations[0].sign = Some(SignFile { secrets });
    skips.write(&[("evt-m-1", "1")]);
    let forwarder = skips.forwarder(config).await;
    let batch = [numbered("m-1", "a", "1"), numbered("m-2", "a", "2")];
    assert_eq!(forwarder.invoke(batch).await, ["m-2"]);
    let dead = &forwarder.sqs().dead_letters()[0].failure;
    assert_eq!(dead.class, Class::Skipped);
    assert!(dead.error.as_deref().unwrap().contains("env:NOWHERE"), "{dead:?}");
}

#[tokio::test]
async fn a_running_forwarder_notices_a_skip() {
    let (sss, skips) = (Sss::start().await, SkipsFile::new());
    sss.answer("m-1", [status(422)]);
    let forwarder = skips.forwarder(blocking(&sss.url())).await;
    let record = numbered("m-1", "a", "1");
    assert_eq!(forwarder.invoke([record.clone()]).await, ["m-1"]);
    skips.write(&[("evt-m-1", "1")]);
    within_patience("the list to be read again", async {
        while forwarder.invoke([record.clone()]).await == ["m-1"] {}
    })
    .await;
    assert_eq!(forwarder.sqs().dead_letters()[0].failure.class, Class::Skipped);
}

#[tokio::test]
async fn the_same_event_sent_again_is_attempted_like_any_other() {
    let (sss, skips) = (Sss::start().await, SkipsFile::new());
    sss.answer("m-1", [status(422)]);
    skips.write(&[("evt-m-1", "1")]);
    let forwarder = skips.forwarder(blocking(&sss.url())).await;
    assert_eq!(forwarder.invoke([numbered("m-1", "a", "7")]).await, ["m-1"]);
    assert_eq!(forwarder.sqs().dead_letters(), []);
}

#[tokio::test]
async fn a_skipped_event_that_the_service_takes_is_delivered() {
    let (sss, skips) = (Sss::start().await, SkipsFile::new());
    skips.write(&[("evt-m-1", "1")]);
    let forwarder = skips.forwarder(blocking(&sss.url())).await;
    assert_eq!(forwarder.invoke([numbered("m-1", "a", "1")]).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-1"]);
    assert_eq!(forwarder.sqs().dead_letters(), []);
}

#[tokio::test]
async fn on_aws_the_list_is_a_parameter_that_only_failures_read() {
    let (sss, aws) = (Sss::start().await, FakeAws::start().await);
    sss.answer("m-2", [status(422), status(422)]);
    let place = [(SKIPS_VARIABLE, format!("ssm:{PARAMETER}")), ("AWS_ENDPOINT_URL", aws.url())];
    let forwarder = Forwarder::start_with_more(blocking(&sss.url()), place).await;
    assert_eq!(forwarder.invoke([numbered("m-1", "a", "1")]).await, NONE);
    assert_eq!(aws.calls(), NONE, "a delivery reads nothing");
    aws.put_parameter(PARAMETER, &list(&[("evt-m-2", "2")]));
    assert_eq!(forwarder.invoke([numbered("m-2", "a", "2")]).await, NONE);
    assert_eq!(aws.calls(), ["AmazonSSM.GetParameter"]);
    assert_eq!(forwarder.sqs().dead_letters()[0].failure.class, Class::Skipped);
}

#[tokio::test]
async fn without_a_list_what_fails_stays_and_nobody_is_alarmed() {
    let (sss, aws) = (Sss::start().await, FakeAws::start().await);
    sss.answer("m-1", [status(422)]);
    let place = [(SKIPS_VARIABLE, format!("ssm:{PARAMETER}")), ("AWS_ENDPOINT_URL", aws.url())];
    let forwarder = Forwarder::start_with_more(blocking(&sss.url()), place).await;
    assert_eq!(forwarder.invoke([numbered("m-1", "a", "1")]).await, ["m-1"]);
    assert_eq!(aws.calls(), ["AmazonSSM.GetParameter"]);
    let log = forwarder.kill().await;
    assert_eq!(log.len(), 1, "the attempt's line and no other: {log:?}");
}

/// On one machine as on AWS.
#[tokio::test]
async fn a_file_of_skips_that_cannot_be_read_is_said() {
    let (sss, skips) = (Sss::start().await, SkipsFile::new());
    sss.answer("m-1", [status(422)]);
    fs::create_dir(skips.path()).unwrap();
    let forwarder = skips.forwarder(blocking(&sss.url())).await;
    assert_eq!(forwarder.invoke([numbered("m-1", "a", "1")]).await, ["m-1"]);
    let log = forwarder.kill().await;
    assert!(log.iter().any(|line| line.to_string().contains("reading the skips")), "{log:?}");
}

/// It is not one that is not there.
#[tokio::test]
async fn a_list_that_may_not_be_read_is_said() {
    let (sss, aws) = (Sss::start().await, FakeAws::start().await);
    sss.answer("m-1", [status(422)]);
    aws.refuse("com.amazonaws.ssm#AccessDeniedException");
    let place = [(SKIPS_VARIABLE, format!("ssm:{PARAMETER}")), ("AWS_ENDPOINT_URL", aws.url())];
    let forwarder = Forwarder::start_with_more(blocking(&sss.url()), place).await;
    assert_eq!(forwarder.invoke([numbered("m-1", "a", "1")]).await, ["m-1"]);
    let log = forwarder.kill().await;
    let said = |line: &serde_json::Value| {
        line["level"] == "ERROR"
            && line.to_string().contains("reading the skips, so nothing is skipped")
            && line.to_string().contains("ssm answered 400 AccessDeniedException")
    };
    assert!(log.iter().any(said), "{log:?}");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_keeps_what_fails_and_is_said_once() {
    let (sss, aws) = (Sss::start().await, FakeAws::start().await);
    let place = [(SKIPS_VARIABLE, format!("ssm:{PARAMETER}")), ("AWS_ENDPOINT_URL", aws.url())];
    let forwarder = Forwarder::start_with_more(blocking(&sss.url()), place).await;
    aws.put_parameter(PARAMETER, "not a list");
    for n in 1..=3 {
        let id = format!("m-{n}");
        sss.answer(&id, [status(422)]);
        assert_eq!(forwarder.invoke([numbered(&id, &id, "1")]).await, [id]);
    }
    assert_eq!(forwarder.sqs().dead_letters(), []);
    assert_eq!(aws.calls().len(), 1, "{:?}", aws.calls());
    let log = forwarder.kill().await;
    let said = log.iter().filter(|line| line.to_string().contains("the list of skips is not one"));
    assert_eq!(said.count(), 1, "{log:?}");
}
