//! Vectors of the specifications, and what no change may get past.

use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::attribute::Attribute;
use crate::message::tests::changed as changed_message;

/// A message with these headers, accepted at this second.
fn message(body: &str, accepted_at: u64, headers: &[(&str, &str)]) -> Message {
    changed_message(1, "g", |it| {
        body.clone_into(&mut it.body);
        it.sent_at = Timestamp::from_ms(accepted_at * 1_000);
        for (name, value) in headers {
            it.attributes.insert(format!("header.{name}"), Attribute::string(*value));
        }
    })
}

fn secrets(texts: &[&str]) -> Vec<Arc<Secret>> {
    texts.iter().map(|text| Arc::new(Secret::new(text.as_bytes()).unwrap())).collect()
}

fn verification(scheme: Scheme) -> Verification {
    let tolerance = Duration::from_secs(TOLERANCE_SECONDS.into());
    Verification { scheme, secrets: Vec::new(), tolerance }
}

fn verify(scheme: Scheme, message: &Message, with: &[&str]) -> Result<(), VerifyError> {
    verification(scheme).verify(message, &secrets(with))
}

fn refused(scheme: Scheme, message: &Message, with: &[&str], expected: &str) {
    let error = verify(scheme, message, with).unwrap_err().to_string();
    assert!(error.contains(expected), "{error:?} lacks {expected:?}");
}

/// The example of GitHub's guide, "Testing the webhook payload validation".
const GITHUB_SECRET: &str = "It's a Secret to Everybody";
const GITHUB_SIGNATURE: &str =
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn github(body: &str, signature: &str) -> Message {
    message(body, 1, &[("x-hub-signature-256", signature)])
}

#[test]
fn github_s_example_is_good() {
    let scheme = || Scheme::Hmac(Hmac::github());
    let good = github("Hello, World!", GITHUB_SIGNATURE);
    assert_eq!(verify(scheme(), &good, &[GITHUB_SECRET]), Ok(()));
    assert_eq!(verify(scheme(), &good, &["another", GITHUB_SECRET]), Ok(()));
    refused(scheme(), &good, &["another"], "not the signature of these bytes");
    let other = github("Hello, World", GITHUB_SIGNATURE);
    refused(scheme(), &other, &[GITHUB_SECRET], "not the signature of these bytes");
    for none in ["", "sha256=", "sha256=,", &GITHUB_SIGNATURE[7..], "sha1=75", "sha256=zz"] {
        let bad = github("Hello, World!", none);
        refused(scheme(), &bad, &[GITHUB_SECRET], "no signature of this scheme");
    }
    for cut in ["sha256=75", &GITHUB_SIGNATURE[..69], &format!("{GITHUB_SIGNATURE}00")] {
        let bad = github("Hello, World!", cut);
        refused(scheme(), &bad, &[GITHUB_SECRET], "not the signature of these bytes");
    }
    refused(scheme(), &message("{}", 1, &[]), &["s"], "header x-hub-signature-256 is missing");
}

/// The example of Slack's guide, "Verifying requests from Slack".
const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const SLACK_BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
    &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
    &command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J\
    %2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
    &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const SLACK_TIME: u64 = 1_531_420_618;
const SLACK_SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

#[test]
fn slack_s_example_is_good_when_it_was_accepted_in_time() {
    let at = |accepted_at: u64| {
        let time = SLACK_TIME.to_string();
        let headers =
            [("x-slack-signature", SLACK_SIGNATURE), ("x-slack-request-timestamp", time.as_str())];
        let message = message(SLACK_BODY, accepted_at, &headers);
        verify(Scheme::Hmac(Hmac::slack()), &message, &[SLACK_SECRET])
    };
    for good in [SLACK_TIME, SLACK_TIME - 300, SLACK_TIME + 300] {
        assert_eq!(at(good), Ok(()), "{good}");
    }
    let late = at(SLACK_TIME + 301).unwrap_err().to_string();
    assert_eq!(late, "it was signed 301 s before it was accepted, and the tolerance is 300 s");
    let early = at(SLACK_TIME - 301).unwrap_err().to_string();
    assert!(early.contains("301 s after it was accepted"), "{early}");
}

/// Made by another implementation of HMAC, by Stripe's guide.
const STRIPE_SECRET: &str = "whsec_test_secret";
const STRIPE_BODY: &str = "{\"id\":\"evt_1\",\"注文\":7}";
const STRIPE_TIME: u64 = 1_492_774_577;
const STRIPE_SIGNATURE: &str = "137c5b7eb7bac06c6b5bc36fd4d3cda9ee8cccd937cbe5c07925c2d367ccb7a8";

#[test]
fn stripe_s_signatures_are_good() {
    let check = |header: &str, expected: Result<(), &str>| {
        let message = message(STRIPE_BODY, STRIPE_TIME + 9, &[("stripe-signature", header)]);
        match expected {
            Ok(()) => assert_eq!(verify(Scheme::Stripe, &message, &[STRIPE_SECRET]), Ok(())),
            Err(expected) => refused(Scheme::Stripe, &message, &[STRIPE_SECRET], expected),
        }
    };
    let good = format!("v1={STRIPE_SIGNATURE}");
    check(&format!("t={STRIPE_TIME},{good}"), Ok(()));
    check(&format!("t={STRIPE_TIME},v1=00,v1=xyz,{good},v0=6ffbb5"), Ok(()));
    check(&format!("t={STRIPE_TIME}, {good}"), Ok(()));
    check(&format!("t={STRIPE_TIME},v1=00,t=7,{good}"), Ok(()));
    check(&format!("t={STRIPE_TIME},v1="), Err("no signature of this scheme"));
    check(&good, Err("holds no time"));
    check(&format!("t={STRIPE_TIME}"), Err("no signature of this scheme"));
    check(&format!("t={STRIPE_TIME},v0={STRIPE_SIGNATURE}"), Err("no signature of this scheme"));
    check(&format!("t={},{good}", STRIPE_TIME + 1), Err("not the signature of these bytes"));
    check("", Err("holds no time"));
}

#[test]
fn stripe_s_old_signatures_are_refused() {
    let header = format!("t={STRIPE_TIME},v1={STRIPE_SIGNATURE}");
    let replayed = message(STRIPE_BODY, STRIPE_TIME + 301, &[("stripe-signature", &header)]);
    refused(Scheme::Stripe, &replayed, &[STRIPE_SECRET], "301 s before it was accepted");
}

/// Made by another implementation of HMAC: of `1767225600.{"注文":7}` with the secret `generic`.
#[test]
fn every_algorithm_and_encoding_is_understood() {
    use Algorithm::{Sha1, Sha256, Sha512};
    use Encoding::{Base64, Hex};
    for (algorithm, encoding, signature) in [
        (Sha1, Base64, "OAqVi0190NC5PIuRGqu3y87LVuA="),
        (Sha1, Hex, "380a958b4d7dd0d0b93c8b911aabb7cbcecb56e0"),
        (Sha256, Base64, "7w2zdkkCvcVGBPKNnqMaXxkoxQ8jJMGEUx8Yf97d5xs="),
        (Sha256, Hex, "EF0DB3764902BDC54604F28D9EA31A5F1928C50F2324C184531F187FDEDDE71B"),
        (
            Sha512,
            Base64,
            "ue5sfVjptamSwTyYT7U/ApaqpJWEb4f5emDbFRTGZo6qALR1io7f2XF1qYCBTDaQ5XsVWdBvMQaRe2Vgrntorg==",
        ),
    ] {
        let scheme = Scheme::Hmac(Hmac {
            header: "x-signature".to_owned(),
            prefix: String::new(),
            algorithm,
            encoding,
            secret_encoding: SecretEncoding::Text,
            signed_content: SignedContent::parse("{header.x-time}.{body}").unwrap(),
            timestamp_header: Some("x-time".to_owned()),
        });
        assert_eq!(verification(scheme.clone()).headers(), ["x-signature", "x-time"]);
        let headers = [("x-signature", signature), ("x-time", "1767225600")];
        let good = message("{\"注文\":7}", 1_767_225_600, &headers);
        assert_eq!(verify(scheme.clone(), &good, &["generic"]), Ok(()), "{algorithm:?}");
        refused(scheme, &good, &["generic "], "not the signature of these bytes");
    }
}

/// A scheme of its own: a signature in `x-signature`, of body or time and body.
fn hmac(change: impl FnOnce(&mut Hmac)) -> Scheme {
    let mut hmac = Hmac {
        header: "x-signature".to_owned(),
        prefix: String::new(),
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Base64,
        secret_encoding: SecretEncoding::Text,
        signed_content: SignedContent::parse("{body}").unwrap(),
        timestamp_header: None,
    };
    change(&mut hmac);
    Scheme::Hmac(hmac)
}

/// Signed by `@octokit/webhooks-methods` 6, `sign`.
#[test]
fn github_s_own_library_is_understood() {
    let signature = "sha256=29de49468dbdaa070120ac15366958e34fce5bcc8e35dad41e83afe93f4176a7";
    let good = github("{\"action\":\"opened\",\"注文\":7}", signature);
    let with = |secret: &str| verify(Scheme::Hmac(Hmac::github()), &good, &[secret]);
    assert_eq!(with("a secret of octokit"), Ok(()));
    assert!(with("a secret of octocat").is_err());
}

/// Taken by `line-bot-sdk` 3.27, `SignatureValidator`.
#[test]
fn line_s_own_library_agrees() {
    let body = "{\"events\":[{\"type\":\"message\",\"text\":\"注文\"}]}";
    let signature = "mWbUUoRXLbhaHPK+/TUV9Lsx5+CC4CeVPQ4kZcVvhog=";
    let secret = "8c570fa6dd201bb328f1c1eac23a96d8";
    let good = message(body, 1, &[("x-signature", signature)]);
    assert_eq!(verify(hmac(|_| {}), &good, &[secret]), Ok(()));
}

/// Made by another implementation of HMAC: of `{"注文":7}`, with the bytes 1 to 32 as the key.
#[test]
fn a_key_is_taken_as_the_provider_shows_it() {
    let base64 = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
    let hex = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
    for (algorithm, signature) in [
        (Algorithm::Sha1, "ozehiC7S2YW7xuCYcvOxfv4xcSw="),
        (Algorithm::Sha256, "b+DI4exHc3D8tcLc91tLzBbKJeBD8kMyrvj4Hs8UfKM="),
        (
            Algorithm::Sha512,
            "9YSe83ck46L8S5qwFuF8QqYBPFffsiOdwHVieHKy5wM9EiELn4kfBWfHHslE8oFQ59L8igdnmA58P9QHpsy2vg==",
        ),
    ] {
        let good = message("{\"注文\":7}", 1, &[("x-signature", signature)]);
        let with = |encoding, secret: &str| {
            let scheme = hmac(|hmac| {
                (hmac.algorithm, hmac.secret_encoding) = (algorithm, encoding);
            });
            verify(scheme, &good, &[secret])
        };
        assert_eq!(with(SecretEncoding::Base64, base64), Ok(()));
        assert_eq!(with(SecretEncoding::Base64, base64.trim_end_matches('=')), Ok(()));
        assert_eq!(with(SecretEncoding::Hex, hex), Ok(()));
        for text in [base64, hex] {
            assert!(matches!(with(SecretEncoding::Text, text), Err(VerifyError::Unverified(_))));
        }
        for (encoding, bad) in
            [(SecretEncoding::Base64, "planted!"), (SecretEncoding::Hex, "planted")]
        {
            let error = with(encoding, bad).unwrap_err();
            assert!(matches!(error, VerifyError::Secret(_)), "{error}");
            assert!(!error.to_string().contains("planted"), "{error}");
        }
    }
}

#[test]
fn of_several_signatures_one_has_to_be_good() {
    let good = &GITHUB_SIGNATURE["sha256=".len()..];
    let old = "00".repeat(32);
    let versioned = |prefix: &str, value: &str| {
        let scheme = hmac(|hmac| {
            hmac.encoding = Encoding::Hex;
            prefix.clone_into(&mut hmac.prefix);
        });
        let message = message("Hello, World!", 1, &[("x-signature", value)]);
        verify(scheme, &message, &[GITHUB_SECRET])
    };
    for (prefix, value) in [
        ("", format!("{old},{good}")),
        ("", format!("{old} {good}")),
        ("v1=", format!("v1={old},v1={good}")),
        ("v1=", format!("v0={old}, v1={good}")),
        ("v1=", format!("v1={good},v1=xyz,v1=")),
        ("v1,", format!("v1,{old} v1,{good}")),
    ] {
        assert_eq!(versioned(prefix, &value), Ok(()), "{value}");
    }
    for (prefix, value) in [
        ("", old.clone()),
        ("", format!("{old}{good}")),
        ("", format!("{} {}", &good[..32], &good[32..])),
        ("", format!("{good};")),
        ("v1=", format!("v0={good}")),
        ("v1=", format!("xv1={good}")),
        ("v1=", format!("v1={old},{good}")),
        ("v1=", "v1= , v1=,".to_owned()),
    ] {
        let result = versioned(prefix, &value);
        assert!(matches!(result, Err(VerifyError::Unverified(_))), "{value}: {result:?}");
    }
}

/// Made by another implementation of HMAC: of the time and `{"注文":7}`, with the secret `generic`.
#[test]
fn a_time_is_read_in_whichever_form_it_is_signed() {
    const NEW_YEAR: u64 = 1_767_225_600;
    let at = |time: &str, signature: &str, accepted_at: u64| {
        let scheme = hmac(|hmac| {
            hmac.signed_content = SignedContent::parse("{header.x-time}{body}").unwrap();
            hmac.timestamp_header = Some("x-time".to_owned());
        });
        let headers = [("x-signature", signature), ("x-time", time)];
        verify(scheme, &message("{\"注文\":7}", accepted_at, &headers), &["generic"])
    };
    for (time, signature) in [
        ("1767225600", "pcn/lvvbJr0HfK+H8ZXielBE91L2ApAAOZU6IqmholY="),
        ("1767225600123", "jkxDp292AGuSyFm7Zdqxus0slDQHyTgBNhrWu7SWoRA="),
        ("2026-01-01T00:00:00Z", "ip6n8wHp4XnNbCCuIYc8IBll63NuHpZO6mb/1FTJnQk="),
        ("2026-01-01T09:00:00.250+09:00", "mAPuVf39VAG8zCx2B1dtjc530ExHs6jdWrBXk9QiMEQ="),
    ] {
        for good in [NEW_YEAR, NEW_YEAR - 299, NEW_YEAR + 300] {
            assert_eq!(at(time, signature, good), Ok(()), "{time}");
        }
        for bad in [NEW_YEAR - 301, NEW_YEAR + 302] {
            let error = at(time, signature, bad).unwrap_err().to_string();
            assert!(error.contains("the tolerance is 300 s"), "{time}: {error}");
        }
        refused(
            hmac(|hmac| hmac.timestamp_header = Some("x-time".to_owned())),
            &message(
                "Hello, World!",
                NEW_YEAR,
                &[("x-signature", HELLO_BASE64), ("x-time", "soon")],
            ),
            &[GITHUB_SECRET],
            "header x-time holds no time: expected seconds or milliseconds since 1970, or RFC 3339",
        );
    }
}

/// GitHub's example in base64.
const HELLO_BASE64: &str = "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=";

/// The example of Zendesk's guide of 2021, "Verifying webhook authenticity", which had the time last.
#[test]
fn zendesk_s_example() {
    let scheme = hmac(|hmac| {
        hmac.signed_content = SignedContent::parse("{body}{header.x-time}").unwrap();
        hmac.timestamp_header = Some("x-time".to_owned());
    });
    let signature = "tRDSF7URY8BLCDlaBcQ7FHu051Zk+aAB0NKMP53teMw=";
    let headers = [("x-signature", signature), ("x-time", "2021-07-25T10:00:00Z")];
    let good = message("{\"say\": \"hello\"}", 1_627_207_200, &headers);
    assert_eq!(verify(scheme, &good, &["HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA="]), Ok(()));
}

#[test]
fn a_secret_of_another_scheme_is_no_obstacle_where_the_other_fits() {
    let good = standard_with(STANDARD_SIGNATURE);
    let scheme = || Scheme::StandardWebhooks(Names::STANDARD);
    for secrets in [[STANDARD_SECRET, "plan ted"], ["plan ted", STANDARD_SECRET]] {
        assert_eq!(verify(scheme(), &good, &secrets), Ok(()));
        let forged = standard("{}", STANDARD_ID, &STANDARD_TIME.to_string(), STANDARD_SIGNATURE);
        let error = verify(scheme(), &forged, &secrets).unwrap_err();
        assert!(matches!(error, VerifyError::Secret(_)), "nobody knows: {error}");
    }
}

/// Signed by `svix` 2.9, `Webhook.sign`.
#[test]
fn svix_signs_the_same_under_other_names() {
    let signature = "v1,QQYOMBYJ6/xAzwH/zP2eYkupwwb3XgTZfbk6pnorJ/0=";
    let time = STANDARD_TIME.to_string();
    let headers = |prefix: &str| {
        let names = ["id", "timestamp", "signature"].map(|name| format!("{prefix}-{name}"));
        let values = ["msg_2b1Yz0", &time, signature];
        let pairs: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
        message("{\"type\":\"invoice.paid\",\"注文\":7}", STANDARD_TIME, &pairs)
    };
    let svix = || Scheme::StandardWebhooks(Names::SVIX);
    assert_eq!(verify(svix(), &headers("svix"), &[STANDARD_SECRET]), Ok(()));
    let plain = Scheme::StandardWebhooks(Names::STANDARD);
    assert_eq!(verify(plain.clone(), &headers("webhook"), &[STANDARD_SECRET]), Ok(()));
    refused(svix(), &headers("webhook"), &[STANDARD_SECRET], "header svix-id is missing");
    refused(plain, &headers("svix"), &[STANDARD_SECRET], "header webhook-id is missing");
    refused(svix(), &headers("svix"), &["AAAA"], "header svix-signature is not the signature");
    let verification = verification(svix());
    assert_eq!(verification.headers(), ["svix-id", "svix-timestamp", "svix-signature"]);
    assert_eq!(verification.signed_id(), Some("svix-id"));
    assert!(verification.signs_time());
}

/// The example in the tests of the specification's own libraries.
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STANDARD_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const STANDARD_TIME: u64 = 1_614_265_330;
const STANDARD_BODY: &str = "{\"test\": 2432232314}";
const STANDARD_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn standard(body: &str, id: &str, time: &str, signature: &str) -> Message {
    let headers =
        [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)];
    message(body, STANDARD_TIME, &headers)
}

fn standard_with(signature: &str) -> Message {
    standard(STANDARD_BODY, STANDARD_ID, &STANDARD_TIME.to_string(), signature)
}

#[test]
fn the_example_of_standard_webhooks_is_good() {
    let scheme = || Scheme::StandardWebhooks(Names::STANDARD);
    let good = standard_with(STANDARD_SIGNATURE);
    assert_eq!(verify(scheme(), &good, &[STANDARD_SECRET]), Ok(()));
    assert_eq!(verify(scheme(), &good, &[&STANDARD_SECRET[6..]]), Ok(()));
    let several = format!("v1,AAAA v2,xyz v1a,!! {STANDARD_SIGNATURE} v1,");
    assert_eq!(verify(scheme(), &standard_with(&several), &[STANDARD_SECRET]), Ok(()));
    let repeated = format!("v1,AAAA,{STANDARD_SIGNATURE}");
    assert_eq!(verify(scheme(), &standard_with(&repeated), &[STANDARD_SECRET]), Ok(()));
    refused(scheme(), &good, &["whsec_AAAA"], "not the signature of these bytes");
    for none in ["", "v1", "v1,", "v1, ", "v2,g0hM", &STANDARD_SIGNATURE[3..]] {
        refused(scheme(), &standard_with(none), &[STANDARD_SECRET], "no signature of this scheme");
    }
    let time = standard(STANDARD_BODY, STANDARD_ID, "+1614265330", STANDARD_SIGNATURE);
    refused(scheme(), &time, &[STANDARD_SECRET], "not the signature of these bytes");
}

#[test]
fn a_public_key_verifies_what_its_private_key_signed() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let content = format!("{STANDARD_ID}.{STANDARD_TIME}.{STANDARD_BODY}");
    let signature = format!("v1a,{}", STANDARD.encode(pair.sign(content.as_bytes())));
    let key = format!("whpk_{}", STANDARD.encode(pair.public_key()));
    let scheme = || Scheme::StandardWebhooks(Names::STANDARD);
    assert_eq!(verify(scheme(), &standard_with(&signature), &[&key]), Ok(()));
    assert_eq!(verify(scheme(), &standard_with(&signature), &[STANDARD_SECRET, &key]), Ok(()));
    let both = format!("{STANDARD_SIGNATURE} {signature}");
    assert_eq!(verify(scheme(), &standard_with(&both), &[&key]), Ok(()));
    refused(scheme(), &standard_with(STANDARD_SIGNATURE), &[&key], "not the signature");
    refused(scheme(), &standard_with(&signature), &[STANDARD_SECRET], "not the signature");
    // A public key is known to everybody: it must not count as a shared secret.
    let shared = format!("whsec_{}", &key[5..]);
    let forged = standard_webhooks::sign(
        &secrets(&[&shared]),
        STANDARD_ID,
        &STANDARD_TIME.to_string(),
        STANDARD_BODY.as_bytes(),
    );
    refused(scheme(), &standard_with(&forged.unwrap()), &[&key], "not the signature");
}

#[test]
fn a_secret_that_cannot_be_one_is_our_fault_and_not_shown() {
    for text in ["whsec_planted!", "whsec_", "whpk_cGxhbnRlZA==", "whsk_cGxhbnRlZA==", "plan ted"] {
        let error = verify(
            Scheme::StandardWebhooks(Names::STANDARD),
            &standard_with(STANDARD_SIGNATURE),
            &[text],
        );
        let error = error.unwrap_err();
        assert!(matches!(error, VerifyError::Secret(_)), "{text}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("plan") && !shown.contains("cGxh"), "{shown}");
    }
}

#[test]
fn what_is_signed_can_be_verified() {
    let (old, new) = (STANDARD_SECRET, "whsec_bmV3IHNlY3JldCBvZiAyNCBieXRlcyE=");
    let sign = |with: &[&str]| {
        let time = STANDARD_TIME.to_string();
        standard_webhooks::sign(&secrets(with), STANDARD_ID, &time, STANDARD_BODY.as_bytes())
    };
    assert_eq!(sign(&[old]).unwrap(), STANDARD_SIGNATURE);
    let both = sign(&[new, old]).unwrap();
    assert_eq!(both.split(' ').count(), 2, "{both}");
    for receiver in [old, new] {
        assert_eq!(
            verify(Scheme::StandardWebhooks(Names::STANDARD), &standard_with(&both), &[receiver]),
            Ok(())
        );
    }
    assert!(sign(&["whpk_AAAA"]).is_err());
    let sent = Timestamp::from_ms(STANDARD_TIME * 1_000 + 999);
    assert_eq!(standard_webhooks::timestamp(sent), STANDARD_TIME.to_string());
}

/// `text` with one character replaced by another.
fn changed(text: &str, position: usize, to: char) -> String {
    let position = position % text.chars().count();
    let change = |(at, c)| if at == position { to } else { c };
    text.chars().enumerate().map(change).collect()
}

proptest! {
    #[test]
    fn no_changed_byte_is_verified(position: usize, to in "[!-~注]", what in 0..4_usize) {
        let to = to.chars().next().unwrap();
        let time = STANDARD_TIME.to_string();
        let mut parts = [STANDARD_BODY, STANDARD_ID, &time, STANDARD_SIGNATURE].map(str::to_owned);
        let before = parts.clone();
        parts[what] = changed(&parts[what], position, to);
        prop_assume!(parts != before);
        let [body, id, time, signature] = &parts;
        let message = standard(body, id, time, signature);
        let result = verify(Scheme::StandardWebhooks(Names::STANDARD), &message, &[STANDARD_SECRET]);
        prop_assert!(matches!(result, Err(VerifyError::Unverified(_))), "{:?}", parts);
    }

    #[test]
    fn no_changed_byte_of_a_hex_signature_is_verified(position: usize, to in "[!-~]", body: bool) {
        let to = to.chars().next().unwrap();
        let message = if body {
            let text = changed("Hello, World!", position, to);
            prop_assume!(text != "Hello, World!");
            github(&text, GITHUB_SIGNATURE)
        } else {
            let text = changed(GITHUB_SIGNATURE, position, to);
            // The same digit in upper case is the same digit.
            prop_assume!(!text.eq_ignore_ascii_case(GITHUB_SIGNATURE));
            github("Hello, World!", &text)
        };
        let result = verify(Scheme::Hmac(Hmac::github()), &message, &[GITHUB_SECRET]);
        prop_assert!(matches!(result, Err(VerifyError::Unverified(_))));
    }

    #[test]
    fn whatever_is_signed_is_verified_however_long_it_waits(
        body in "\\PC{1,200}", id in "[!-~]{1,64}", key: [u8; 24], skew in 0..=300_u64, late: bool
    ) {
        let secret = format!("whsec_{}", STANDARD.encode(key));
        let signed_at = if late { STANDARD_TIME + skew } else { STANDARD_TIME - skew }.to_string();
        let signature =
            standard_webhooks::sign(&secrets(&[&secret]), &id, &signed_at, body.as_bytes());
        let message = standard(&body, &id, &signed_at, &signature.unwrap());
        prop_assert_eq!(verify(Scheme::StandardWebhooks(Names::STANDARD), &message, &[&secret]), Ok(()));
    }

    #[test]
    fn nothing_in_a_header_is_a_panic(value in "\\PC{0,100}", time in "\\PC{0,30}") {
        let all = ["webhook-id", "webhook-signature", "stripe-signature", "x-slack-signature", "x-hub-signature-256"];
        let mut headers: Vec<(&str, &str)> = all.iter().map(|name| (*name, value.as_str())).collect();
        headers.extend([("webhook-timestamp", time.as_str()), ("x-slack-request-timestamp", &time)]);
        let message = message("{}", 1, &headers);
        let schemes = [
            Scheme::StandardWebhooks(Names::STANDARD),
            Scheme::Stripe,
            Scheme::StandardWebhooks(Names::SVIX),
            Scheme::Hmac(Hmac::slack()),
            Scheme::Hmac(Hmac::github()),
            Scheme::Token(Token::gitlab()),
        ];
        for scheme in schemes {
            prop_assert!(verify(scheme, &message, &["AAAA"]).is_err());
        }
    }
}
