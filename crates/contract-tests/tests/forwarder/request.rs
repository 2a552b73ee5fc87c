//! What SSS receives.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::post;
use contract_tests::event::message;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::{config, config_with};
use contract_tests::sss::{Delivery, Sss};
use domain::config::ConfigFile;
use domain::dead_letter::Class;

use crate::{NONE, status};

const FIFO_EVENT: &str = include_str!("../fixtures/fifo-event.json");
const FIFO_EVENT_WITH_ATTRIBUTES: &str =
    include_str!("../fixtures/fifo-event-with-attributes.json");

/// What arrives when this message is delivered.
async fn delivery(
    sss: &Sss,
    config: ConfigFile,
    record: contract_tests::event::Record,
) -> Delivery {
    let forwarder = Forwarder::start(config).await;
    assert_eq!(forwarder.invoke([record]).await, NONE);
    let deliveries = sss.deliveries();
    assert_eq!(deliveries.len(), 1);
    deliveries[0].clone()
}

#[tokio::test]
async fn the_provider_s_bytes_arrive_with_the_event_s_names() {
    let sss = Sss::start().await;
    let body = "{ \"amount\" : 1.50,\r\n\t\"amount\": 1e2 }\n";
    let record = message("m-1", "order-7")
        .body(body)
        .attribute("event_id", "JKJaXmPLvHcESHA=")
        .system_attribute("SentTimestamp", "1767225600123")
        .attribute("accepted_at", "1767225600000");
    let sequence = record.sequence();
    let url = format!("{}?tenant=a%20b", sss.url());
    let delivery = delivery(&sss, config(&url), record).await;
    assert_eq!(delivery.request.body, body.as_bytes());
    assert_eq!(delivery.request.url.path(), "/application-hook");
    assert_eq!(delivery.request.url.query(), Some("tenant=a%20b"));
    for (name, value) in [
        ("webhook-id", "JKJaXmPLvHcESHA="),
        ("webhook-attempt", "1"),
        ("webhook-group", "order-7"),
        ("webhook-sequence", sequence.as_str()),
        ("webhook-accepted-at", "2026-01-01T00:00:00.123Z"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(delivery.header(name), value, "{name}");
    }
    assert_eq!(delivery.request.headers.get("x-amzn-trace-id"), None);
}

#[tokio::test]
async fn delivering_asks_nothing_of_sqs() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a"), message("m-2", "b")]).await, NONE);
    assert_eq!(forwarder.sqs().calls(), []);
}

#[tokio::test]
async fn the_attempt_is_counted_from_receives_and_age() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let hour = Duration::from_hours(1);
    for (id, record, attempt) in [
        ("m-1", message("m-1", "a").received(3).aged(hour), "3"),
        // 400 receives in no time were receives behind a failing message, not attempts.
        ("m-2", message("m-2", "a").received(400), "1"),
    ] {
        assert_eq!(forwarder.invoke([record]).await, NONE);
        let delivery = sss.deliveries().pop().expect("it was delivered");
        assert_eq!(delivery.header("webhook-attempt"), attempt, "{id}");
    }
}

/// Another process may have received it all the while: what stands behind another was never attempted.
#[tokio::test]
async fn an_event_that_stood_behind_another_is_at_its_first_attempt() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let day = Duration::from_hours(24);
    let received = |id: &str| message(id, "a").received(104).aged(day);
    assert_eq!(forwarder.invoke([received("m-1"), received("m-2")]).await, NONE);
    let attempts: Vec<String> =
        sss.deliveries().iter().map(|it| it.header("webhook-attempt").to_owned()).collect();
    assert_eq!(attempts, ["104", "1"]);
}

/// As `retry` does it, long before the schedule would have.
#[tokio::test]
async fn an_attempt_that_an_operator_had_made_early_is_counted_and_moves_the_schedule_no_further() {
    let sss = Sss::start().await;
    sss.answer_all(status(500));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    for receives in 1..=3 {
        assert_eq!(forwarder.invoke([message("m-1", "a").received(receives)]).await, ["m-1"]);
    }
    let attempts: Vec<String> =
        sss.deliveries().iter().map(|it| it.header("webhook-attempt").to_owned()).collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    assert_eq!(forwarder.sqs().visibility("m-1"), Some(2), "the first delay");
}

#[tokio::test]
async fn the_route_s_headers_are_passed_on_and_no_others() {
    let sss = Sss::start_with_passed_headers(&["x-workflow-id", "x-kind"]).await;
    let config = config_with(&sss.url(), |route| {
        route.pass_headers = vec!["X-Workflow-Id".to_owned(), "x-kind".to_owned()];
    });
    let record = message("m-1", "order-7")
        .attribute(
            "headers",
            "transfer-encoding: chunked\nwebhook-id: forged\nx-internal: not for SSS\n\
             x-kind: \nx-workflow-id: w 1; \"q\"=é",
        )
        .attribute("header.x-kind", "of a former version");
    let delivery = delivery(&sss, config, record).await;
    assert_eq!(delivery.request.headers["x-workflow-id"].as_bytes(), "w 1; \"q\"=é".as_bytes());
    assert_eq!(delivery.header("webhook-id"), "evt-m-1");
    assert_eq!(delivery.request.headers.get("x-kind"), None);
}

/// They may wait for days while the forwarder becomes a newer one.
#[tokio::test]
async fn headers_of_messages_of_a_former_version_are_passed_on() {
    let sss = Sss::start_with_passed_headers(&["x-workflow-id", "x-kind"]).await;
    let config = config_with(&sss.url(), |route| {
        route.pass_headers = vec!["X-Workflow-Id".to_owned(), "x-kind".to_owned()];
    });
    let record = message("m-1", "order-7")
        .attribute("header.x-workflow-id", "w 1; \"q\"=é")
        .attribute("header.x-internal", "not for SSS")
        .attribute("header.webhook-id", "forged")
        .attribute("header.transfer-encoding", "chunked");
    let delivery = delivery(&sss, config, record).await;
    assert_eq!(delivery.request.headers["x-workflow-id"].as_bytes(), "w 1; \"q\"=é".as_bytes());
    assert_eq!(delivery.header("webhook-id"), "evt-m-1");
    assert_eq!(delivery.request.headers.get("x-kind"), None);
}

/// No header's value can hold a line feed; a message that has one more is none of the ingest's.
#[tokio::test]
async fn a_line_too_many_among_the_headers_is_not_taken_for_a_header() {
    let sss = Sss::start_with_passed_headers(&["x-kind", "x-workflow-id"]).await;
    let config = config_with(&sss.url(), |route| {
        route.pass_headers = vec!["x-workflow-id".to_owned(), "x-kind".to_owned()];
    });
    let forwarder = Forwarder::start(config).await;
    let forged = "x-kind: a\nx-workflow-id: forged\nx-workflow-id: true";
    let batch = [
        message("m-1", "a").attribute("headers", forged),
        message("m-2", "b").attribute("headers", "x-kind: a\nx-workflow-id: true"),
    ];
    assert_eq!(forwarder.invoke(batch).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-2"]);
    let dead = &forwarder.sqs().dead_letters()[0];
    assert_eq!(dead.failure.class, Class::Malformed);
    assert_eq!(dead.attributes["headers"].value, forged, "it is kept whole");
    let error = dead.failure.error.as_deref().unwrap();
    assert!(error.contains("attribute headers is not a line for each header"), "{error}");
}

/// SQS takes line breaks in attributes; HTTP headers end there.
#[tokio::test]
async fn a_line_break_in_a_header_forges_nothing() {
    let sss = Sss::start_with_passed_headers(&["x-workflow-id"]).await;
    let config = config_with(&sss.url(), |route| {
        route.pass_headers = vec!["x-workflow-id".to_owned()];
    });
    let forwarder = Forwarder::start(config).await;
    let record =
        message("m-1", "order-7").attribute("header.x-workflow-id", "w\r\nx-forged: yes\r\n\r\n");
    assert_eq!(forwarder.invoke([record]).await, NONE);
    let (delivered, dead) = (sss.deliveries().len(), forwarder.sqs().dead_letters().len());
    assert_eq!(delivered + dead, 1, "delivered {delivered} times, dead-lettered {dead} times");
}

#[tokio::test]
async fn the_content_type_is_the_provider_s_where_the_route_passes_it_on() {
    let sss = Sss::start().await;
    let config = config_with(&sss.url(), |route| {
        route.pass_headers = vec!["content-type".to_owned()];
    });
    let record = message("m-1", "order-7")
        .attribute("header.content-type", "application/xml; charset=shift_jis");
    let delivery = delivery(&sss, config, record).await;
    assert_eq!(delivery.header("content-type"), "application/xml; charset=shift_jis");
}

#[tokio::test]
async fn the_trace_is_passed_on() {
    let sss = Sss::start().await;
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    let record = message("m-1", "order-7").system_attribute("AWSTraceHeader", trace);
    let delivery = delivery(&sss, config(&sss.url()), record).await;
    assert_eq!(delivery.header("x-amzn-trace-id"), trace);
}

#[tokio::test]
async fn where_the_function_is_traced_its_deliveries_are() {
    let trace = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1";
    let own = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let batch = [message("m-1", "a"), message("m-2", "a").system_attribute("AWSTraceHeader", own)];
    assert_eq!(forwarder.begin_traced(trace, batch).failed().await, NONE);
    assert_eq!(forwarder.invoke([message("m-3", "a")]).await, NONE);
    let deliveries = sss.deliveries();
    assert_eq!(deliveries[0].header("x-amzn-trace-id"), trace);
    assert_eq!(deliveries[1].header("x-amzn-trace-id"), own, "the message's goes first");
    assert_eq!(deliveries[2].request.headers.get("x-amzn-trace-id"), None, "it is not traced");
}

#[tokio::test]
async fn a_provider_s_trace_context_is_passed_on() {
    let sss = Sss::start().await;
    let config = config_with(&sss.url(), |route| {
        route.pass_headers = vec!["traceparent".to_owned()];
    });
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let record = message("m-1", "order-7").attribute("header.traceparent", context);
    assert_eq!(delivery(&sss, config, record).await.header("traceparent"), context);
}

#[tokio::test]
async fn what_was_sent_straight_to_the_queue_is_routed_by_its_group() {
    let sss = Sss::start().await;
    for (ordering_key, group) in [("orders", "orders"), ("$request.header.x-workflow-id", "sss")] {
        let config = config_with(&sss.url(), |route| route.ordering_key = ordering_key.to_owned());
        let forwarder = Forwarder::start(config).await;
        let record = message("m-1", group)
            .without_attributes()
            .system_attribute("SentTimestamp", "1767225600123");
        assert_eq!(forwarder.invoke([record]).await, NONE);
        let delivery = sss.deliveries().pop().expect("it was delivered");
        assert_eq!(delivery.header("webhook-group"), group);
        assert_eq!(delivery.header("webhook-id"), "m-1");
        assert_eq!(delivery.header("webhook-accepted-at"), "2026-01-01T00:00:00.123Z");
    }
    assert_eq!(sss.deliveries().len(), 2);
}

#[tokio::test]
async fn every_route_has_its_own_destination() {
    let (orders, stock) = (Sss::start().await, Sss::start().await);
    let mut config = config(&orders.url());
    config
        .routes
        .insert("stock".to_owned(), contract_tests::settings::route("/stock-hook", &stock.url()));
    let forwarder = Forwarder::start(config).await;
    let batch = [message("m-1", "a"), message("m-2", "a").route("stock")];
    assert_eq!(forwarder.invoke(batch).await, NONE);
    assert_eq!(orders.event_ids(), ["evt-m-1"]);
    assert_eq!(stock.event_ids(), ["evt-m-2"]);
}

#[tokio::test]
async fn connections_are_kept_between_invocations() {
    let peers: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
    let seen = Arc::clone(&peers);
    let take = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
        seen.lock().unwrap().push(peer);
    };
    let router = Router::new().route("/", post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, service).into_future());

    let forwarder = Forwarder::start(config(&url)).await;
    for id in ["m-1", "m-2", "m-3"] {
        assert_eq!(forwarder.invoke([message(id, "a")]).await, NONE);
    }
    let peers = peers.lock().unwrap();
    assert_eq!(peers.len(), 3);
    assert!(peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");
}

/// The shape of AWS's documentation, read as it stands, not as the builder of these tests makes it.
#[tokio::test]
async fn events_in_the_shape_of_aws_s_documentation_are_understood() {
    let sss = Sss::start_with_passed_headers(&["x-workflow-id"]).await;
    let config = config_with(&sss.url(), |route| {
        route.ordering_key = "1".to_owned();
        route.pass_headers = vec!["x-workflow-id".to_owned()];
    });
    let forwarder = Forwarder::start(config).await;
    for event in [FIFO_EVENT, FIFO_EVENT_WITH_ATTRIBUTES] {
        assert_eq!(forwarder.begin_event(event.to_owned()).failed().await, NONE);
    }
    let deliveries = sss.deliveries();
    assert_eq!(deliveries[0].header("webhook-id"), "7b0d4c1e-5f3a-4e57-9d7f-0c8f2f0a4b11");
    assert_eq!(deliveries[0].request.body, b"Order 7 was approved.");
    assert_eq!(deliveries[1].header("webhook-id"), "JKJaXmPLvHcESHA=");
    assert_eq!(deliveries[1].header("x-workflow-id"), "order-7");
    assert_eq!(deliveries[1].header("webhook-attempt"), "2");
}
