//! An answer without what differs from event to event: ids, numbers, times, addresses, names in
//! quotation marks. Of HTML and XML the text stays, of JSON the structure.
//!
//! What is a value is guessed from how it is written, so that one answer is enough to know: whatever
//! has a digit, or looks drawn at random. An id of a few letters only is taken for a word.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

/// How much of a masked answer is kept, in characters. An answer is cut when it is recorded
/// ([`crate::dead_letter::RESPONSE_BYTES_MAX`]), and where depends on how long the values in it are: the
/// beginning does not.
pub const ANSWER_CHARS_MAX: usize = 256;

/// In place of what was masked.
const MASK: char = '#';

/// In place of what was in quotation marks, and of what was cut off.
const CUT: char = '…';

/// A run of so many characters may be a value drawn at random without a digit in it, if as many of them
/// are of another kind (capital, small, digit) than the one before: words in camel case have fewer.
const RANDOM_CHARS_MIN: usize = 16;
const RANDOM_CHANGES_PERCENT_MIN: usize = 50;

/// The answer without what differs from event to event.
#[must_use]
pub fn mask(answer: &str) -> String {
    let text = unwrapped(in_a_line(answer));
    let masked = if is_json(&text) { of_json(&text) } else { of_text(&text, Quoted::IsValue) };
    shortened(masked)
}

/// What stands in tags, or as the only string of JSON.
fn unwrapped(mut text: String) -> String {
    loop {
        if text.starts_with('<') {
            text = in_a_line(&without_tags(&text));
        } else if let Some(string) = only_string(&text) {
            text = in_a_line(&string);
        } else if text.contains('\\') && !is_json(&text) {
            // Nothing is escaped here.
            text = text.replace('\\', "/");
        } else {
            return text;
        }
    }
}

/// The string that all of a text is, if it is one, in quotation marks.
fn only_string(text: &str) -> Option<String> {
    let mut chars = text.strip_prefix('"')?.chars();
    let (string, is_whole) = json_string(&mut chars);
    (is_whole && chars.as_str().is_empty()).then_some(string)
}

/// Whether what stands in quotation marks is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoted {
    IsValue,
    IsText,
}

/// Without control characters and line breaks.
fn in_a_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What a browser would show, and some more: entities stay as they are.
fn without_tags(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        shown.push_str(&rest[..start]);
        shown.push(' ');
        rest = &rest[start + 1..];
        let is_tag = rest.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
        if !is_tag {
            continue;
        }
        let Some(end) = rest.find('>') else { return shown };
        let tag = rest[..end].to_ascii_lowercase();
        rest = &rest[end + 1..];
        for unseen in ["style", "script"] {
            let is_it = tag.split([' ', '/']).next() == Some(unseen) && !tag.ends_with('/');
            if is_it {
                let end = rest.to_ascii_lowercase().find(&format!("</{unseen}"));
                rest = end.map_or("", |end| &rest[end..]);
            }
        }
    }
    shown.push_str(rest);
    shown
}

/// Whether it is written as JSON, complete or cut off.
fn is_json(text: &str) -> bool {
    text.starts_with('{')
        || text.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(['{', '"', '[']))
}

fn of_json(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => written(&value),
        // It was cut off, or masked before.
        Err(_) => of_json_text(text),
    }
}

/// Members in the order of their masked names; of what is alike one.
fn written(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) => value.to_string(),
        Value::Number(_) => MASK.to_string(),
        Value::String(text) => format!("\"{}\"", of_json_string(text)),
        Value::Array(values) => {
            let mut met = BTreeSet::new();
            let values = values.iter().map(written);
            let values: Vec<String> = values.filter(|it| met.insert(it.clone())).collect();
            format!("[{}]", values.join(","))
        }
        Value::Object(members) => {
            let mut masked: BTreeMap<String, String> = BTreeMap::new();
            for (name, value) in members {
                let (name, value) = (of_json_string(name), written(value));
                let first = masked.entry(name).or_insert_with(|| value.clone());
                if value < *first {
                    *first = value;
                }
            }
            let members = masked.iter().map(|(name, value)| format!("\"{name}\":{value}"));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

/// Without what would have to be escaped.
fn of_json_string(text: &str) -> String {
    let plain = text.replace('"', "'").replace('\\', "/");
    of_text(&in_a_line(&plain), Quoted::IsValue)
}

/// What looks like JSON, string by string.
fn of_json_text(text: &str) -> String {
    let mut masked = String::new();
    let mut between = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '"' {
            between.push(c);
            continue;
        }
        masked.push_str(&of_structure(&between));
        between.clear();
        let (string, is_whole) = json_string(&mut chars);
        let _written = write!(masked, "\"{}", of_json_string(&string));
        if is_whole {
            masked.push('"');
        }
    }
    masked.push_str(&of_structure(&between));
    masked
}

/// What stands before the next quotation mark, and whether there is one.
fn json_string(chars: &mut std::str::Chars<'_>) -> (String, bool) {
    let mut string = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => return (string, true),
            '\\' => match chars.next() {
                Some('n' | 't' | 'r' | 'b' | 'f') => string.push(' '),
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                    string.push(code.unwrap_or(CUT));
                }
                Some(other) => string.push(other),
                None => {}
            },
            c => string.push(c),
        }
    }
    (string, false)
}

/// What stands between the strings of JSON.
fn of_structure(text: &str) -> String {
    const STRUCTURE: &str = "{}[]:,";
    let masked = of_text(text, Quoted::IsText);
    let chars: Vec<char> = masked.chars().collect();
    let is_structure = |place: Option<usize>| {
        // What is at the edge has a string as its neighbour.
        place.and_then(|place| chars.get(place)).is_none_or(|&c| STRUCTURE.contains(c))
    };
    let stays = |&(place, &c): &(usize, &char)| {
        c != ' ' || !(is_structure(place.checked_sub(1)) || is_structure(Some(place + 1)))
    };
    chars.iter().enumerate().filter(stays).map(|(_, c)| *c).collect()
}

/// A text in a line.
fn of_text(text: &str, quoted: Quoted) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut masked = Masked::default();
    let mut place = 0;
    while place < chars.len() {
        let rest = &chars[place..];
        let before = place.checked_sub(1).map(|before| chars[before]);
        let starts = before.is_none_or(|before| !before.is_ascii_alphanumeric());
        let length = match rest[0] {
            quote @ ('"' | '\'' | '`')
                if quoted == Quoted::IsValue && before.is_none_or(may_stand_before_a_quotation) =>
            {
                masked.push(quote);
                let value = value_in(rest, quote);
                if value > 0 {
                    masked.push(CUT);
                    masked.push(quote);
                    value + 2
                } else {
                    1
                }
            }
            first if first == MASK || first.is_numeric() && !first.is_ascii() => {
                masked.mask();
                1
            }
            _ if starts && value_at(rest) > 0 => {
                masked.mask();
                value_at(rest)
            }
            first if first.is_ascii_alphanumeric() => {
                let length = rest.iter().take_while(|c| c.is_ascii_alphanumeric()).count();
                masked.word(&rest[..length]);
                length
            }
            other => {
                masked.push(other);
                1
            }
        };
        place += length;
    }
    masked.text
}

/// What a value in base 64 consists of, before it is filled up.
fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/".contains(c)
}

/// What follows a word or a number is an apostrophe.
fn may_stand_before_a_quotation(c: char) -> bool {
    !c.is_ascii_alphanumeric() && !c.is_numeric() && c != MASK
}

/// How long the value in quotation marks is with which `rest` begins, if it is one: an identifier is the
/// name of something, and there are as many of these as the program has.
fn value_in(rest: &[char], quote: char) -> usize {
    let Some(length) = rest[1..].iter().position(|c| *c == quote) else { return 0 };
    let value = &rest[1..=length];
    let is_identifier = value.iter().all(|c| c.is_ascii_alphanumeric() || "_.$-#".contains(*c));
    if is_identifier { 0 } else { length }
}

/// How long the value is that a run begins with as a whole, if it is one: an e-mail address, a UUID,
/// something drawn at random.
fn value_at(rest: &[char]) -> usize {
    let email = email(rest);
    if email > 0 {
        return email;
    }
    if is_uuid(rest) {
        return UUID_CHARS;
    }
    let length = rest.iter().take_while(|c| is_base64(**c)).count();
    let filling = rest[length..].iter().take_while(|c| **c == '=').count();
    if looks_random(&rest[..length]) { length + filling } else { 0 }
}

const UUID_CHARS: usize = 36;

fn is_uuid(rest: &[char]) -> bool {
    let is_of_one = |(place, c): (usize, &char)| match place {
        8 | 13 | 18 | 23 => *c == '-',
        _ => c.is_ascii_hexdigit(),
    };
    rest.len() >= UUID_CHARS
        && rest[..UUID_CHARS].iter().enumerate().all(is_of_one)
        && rest.get(UUID_CHARS).is_none_or(|c| !c.is_ascii_alphanumeric())
}

fn email(rest: &[char]) -> usize {
    let is_local = |c: &char| c.is_ascii_alphanumeric() || "._%+-".contains(*c);
    let local = rest.iter().take_while(|c| is_local(c)).count();
    if local == 0 || rest.get(local) != Some(&'@') {
        return 0;
    }
    let is_domain = |c: &char| c.is_ascii_alphanumeric() || ".-".contains(*c);
    let domain: String = rest[local + 1..].iter().take_while(|c| is_domain(c)).collect();
    let domain = domain.trim_end_matches(['.', '-']);
    let top = domain.rsplit_once('.').map_or("", |(_, top)| top);
    let is_domain = top.len() >= 2 && top.bytes().all(|c| c.is_ascii_alphabetic());
    if is_domain { local + 1 + domain.len() } else { 0 }
}

fn looks_random(run: &[char]) -> bool {
    let kind = |c: &char| (c.is_ascii_uppercase(), c.is_ascii_lowercase(), c.is_ascii_digit());
    let changes = run.windows(2).filter(|pair| kind(&pair[0]) != kind(&pair[1])).count();
    // A path of many short steps changes as often.
    let marks = run.iter().filter(|c| !c.is_ascii_alphanumeric()).count();
    run.len() >= RANDOM_CHARS_MIN
        && (changes.saturating_sub(2 * marks)) * 100 >= run.len() * RANDOM_CHANGES_PERCENT_MIN
}

/// A text that is written, masks next to each other as one.
#[derive(Debug, Default)]
struct Masked {
    text: String,
    /// Where the last mask ends, while nothing but marks came behind it.
    mask_ends: Option<usize>,
}

impl Masked {
    fn push(&mut self, c: char) {
        // Between the parts of a time, of an address, of a list.
        if !" -_:.,/+".contains(c) {
            self.mask_ends = None;
        }
        self.text.push(c);
    }

    fn mask(&mut self) {
        if let Some(end) = self.mask_ends {
            self.text.truncate(end);
        } else {
            self.text.push(MASK);
        }
        self.mask_ends = Some(self.text.len());
    }

    /// What has a digit is a value, and so are the names of days and months where a time is written.
    fn word(&mut self, word: &[char]) {
        let text: String = word.iter().collect();
        if word.iter().any(char::is_ascii_digit) || (self.mask_ends.is_some() && is_of_time(&text))
        {
            self.take_back_day();
            self.mask();
        } else {
            self.mask_ends = None;
            self.text.push_str(&text);
        }
    }

    /// `Mon, 23`, `Nov 23`: what stands before a number belongs to it.
    fn take_back_day(&mut self) {
        let before = self.text.trim_end_matches([' ', ',', '-', '/']);
        let start = before
            .rfind(|c: char| !c.is_ascii_alphabetic())
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let starts_a_word = !before[..start].ends_with(|c: char| c.is_ascii_alphanumeric());
        if self.mask_ends.is_none() && starts_a_word && is_of_time(&before[start..]) {
            self.text.truncate(start);
        }
    }
}

/// Whether it is the name of a day or month, or a half of the day, as times are written in English.
fn is_of_time(word: &str) -> bool {
    const NAMES: [&str; 21] = [
        "mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "may", "jun",
        "jul", "aug", "sep", "oct", "nov", "dec", "am", "pm",
    ];
    NAMES.iter().any(|name| word.eq_ignore_ascii_case(name))
}

fn shortened(text: String) -> String {
    if text.chars().count() <= ANSWER_CHARS_MAX {
        return text;
    }
    let short: String = text.chars().take(ANSWER_CHARS_MAX - 1).collect();
    // A word that is cut may be taken for something else.
    let whole = short.trim_end_matches(|c| is_base64(c) || "=_-@.".contains(c)).trim_end();
    let kept = if whole.is_empty() { short.as_str() } else { whole };
    format!("{kept}{CUT}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Answers as services give them, and what they have in common with others of their kind.
    const ANSWERS: [(&str, &str); 44] = [
        ("", ""),
        (" \r\n\t", ""),
        ("ok", "ok"),
        ("Bad Request", "Bad Request"),
        ("Bad Request\n", "Bad Request"),
        ("order 1234 not found", "order # not found"),
        ("order-1234 not found", "order-# not found"),
        ("order #1234 not found", "order # not found"),
        ("注文1234が見つかりません", "注文#が見つかりません"),
        ("注文１２３４が見つかりません", "注文#が見つかりません"),
        ("no event 550e8400-e29b-41d4-a716-446655440000", "no event #"),
        ("no event abcdefab-cdef-abcd-efab-cdefabcdefab", "no event #"),
        ("no event 01ARZ3NDEKTSV4RRFFQ69G5FAV.", "no event #."),
        ("no customer cus_NffrFeUfNV2Hib", "no customer cus_#"),
        ("trace: 4bf92f3577b34da6a3ce929d0e0e4736", "trace: #"),
        ("token=dGhpcyBpcyBhIHNlY3JldA==; x", "token=#; x"),
        ("token=qLmNrTfGhJkPwXyZaBcDeF rejected", "token=# rejected"),
        ("at 2026-11-23T10:00:00.123Z", "at #"),
        ("at 2026-11-23 10:00:00 +09:00", "at #"),
        ("at Mon, 23 Nov 2026 10:00:00 GMT", "at # GMT"),
        ("at Nov 23, 2026 10:00:00 AM", "at #"),
        ("took 1.5s, limit 350ms", "took #, limit #"),
        ("no answer of 10.0.0.17:8080", "no answer of #"),
        ("mail to jane.doe+x@mail.example.com bounced", "mail to # bounced"),
        ("customer 'Jane Doe' is unknown", "customer '…' is unknown"),
        ("customer \"株式会社\" is unknown", "customer \"…\" is unknown"),
        ("Cannot read property 'amount' of null", "Cannot read property 'amount' of null"),
        (
            "field 'line_17' can't be empty, doesn't fit",
            "field 'line_#' can't be empty, doesn't fit",
        ),
        ("\"unknown workflow 17\"", "unknown workflow #"),
        ("{\"error\":\"unknown workflow\"}", "{\"error\":\"unknown workflow\"}"),
        ("{ \"id\": 17,\n  \"error\": \"no order 17\" }", "{\"error\":\"no order #\",\"id\":#}"),
        ("{\"error\":\"no order 17\",\"id\":-1.5e3}", "{\"error\":\"no order #\",\"id\":#}"),
        ("{\"ok\":false,\"at\":null}", "{\"at\":null,\"ok\":false}"),
        ("{\"missing\":[17,18,19]}", "{\"missing\":[#]}"),
        ("{\"errors\":[{\"line\":1},{\"line\":2}]}", "{\"errors\":[{\"line\":#}]}"),
        ("{\"order-1\":\"late\",\"order-2\":\"late\"}", "{\"order-#\":\"late\"}"),
        ("{\"e\":\"no \\\"Jane Doe\\\" in C:\\\\x\\ny\"}", "{\"e\":\"no '…' in C:/x y\"}"),
        (
            "{\"error\":\"no order 17\", \"trace\": [\"4bf9",
            "{\"error\":\"no order #\",\"trace\":[\"#",
        ),
        ("[{\"code\":\"E1042\"}]", "[{\"code\":\"#\"}]"),
        ("[2026-11-23 10:00:00] ERROR in worker 3", "[#] ERROR in worker #"),
        (
            "<html>\r\n<head><title>502 Bad Gateway</title><style>b{top:3px}</style></head>\r\n<body>\r\n\
             <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.18.0</center></body></html>",
            "# Bad Gateway # Bad Gateway nginx/#",
        ),
        (
            "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><RequestId>4442587FB7D0A2F9</RequestId>",
            "NoSuchKey #",
        ),
        (
            "java.lang.NullPointerException: order 17\n\tat com.acme.OrderService.find(OrderService.java:42)\n\
             \tat com.acme.Foo@1a2b3c4d",
            "java.lang.NullPointerException: order # at com.acme.OrderService.find(OrderService.java:#) \
             at com.acme.Foo@#",
        ),
        (
            "Traceback (most recent call last):\n  File \"/srv/app/main.py\", line 17, in hook\nKeyError: 'state'",
            "Traceback (most recent call last): File \"…\", line #, in hook KeyError: 'state'",
        ),
    ];

    #[test]
    fn what_differs_from_event_to_event_goes_and_the_rest_stays() {
        for (answer, masked) in ANSWERS {
            assert_eq!(mask(answer), masked, "{answer}");
        }
    }

    #[test]
    fn a_long_answer_is_told_by_its_beginning() {
        let long = |id: &str| mask(&format!("order {id} is late. {}", "and so on, ".repeat(90)));
        assert_eq!(long("1"), long("123456789"));
        let chars = long("1").chars().count();
        assert!((200..=ANSWER_CHARS_MAX).contains(&chars), "{chars}");
        assert!(long("1").ends_with('…'));
        assert_eq!(mask(&"x".repeat(ANSWER_CHARS_MAX)).chars().count(), ANSWER_CHARS_MAX);
        assert_eq!(mask(&"x".repeat(ANSWER_CHARS_MAX)), "x".repeat(ANSWER_CHARS_MAX));
        assert_eq!(mask(&"x".repeat(1_024)).chars().count(), ANSWER_CHARS_MAX);
    }

    /// Two values of one kind, as they stand in answers.
    fn values() -> impl Strategy<Value = (String, String)> {
        let kinds = [
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[1-9][0-9]{0,11}",
            "0x[0-9a-f]{4,12}",
            "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?Z",
            "(Mon|Tue|Sun), [0-3]?[0-9] (Jan|May|Dec) 20[0-9]{2} [0-2][0-9]:[0-5][0-9]:[0-5][0-9]",
            "[a-z]{1,8}[.][a-z]{1,8}@[a-z]{1,8}[.](com|co[.]jp|example)",
            "[0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}:[0-9]{2,5}",
            "[0-9A-HJKMNP-TV-Z]{12}[0-9][0-9A-HJKMNP-TV-Z]{13}",
            "'[A-Z][a-z]{1,8} [A-Z][a-z]{1,8}'",
        ];
        proptest::sample::select(kinds.to_vec()).prop_flat_map(|kind| (kind, kind))
    }

    const TEMPLATES: [&str; 6] = [
        "no order {} here",
        "{}: refused",
        "{\"error\":\"no order {} here\",\"at\":\"{}\"}",
        "{\"error\":\"cut off {} and \",\"at",
        "<html><body><p>no order {} here</p>",
        "注文{}が見つかりません",
    ];

    proptest! {
        #[test]
        fn two_answers_that_differ_in_values_only_are_one(
            (a, b) in values(), template in 0..TEMPLATES.len(),
        ) {
            let with = |value: &str| mask(&TEMPLATES[template].replace("{}", value));
            prop_assert_eq!(with(&a), with(&b));
        }

        #[test]
        fn what_is_masked_stays_as_it_is(answer in "\\PC{0,400}", ascii in "[ -~\n]{0,600}") {
            for answer in [answer, ascii] {
                let masked = mask(&answer);
                prop_assert_eq!(mask(&masked), masked.clone(), "{:?}", answer);
                prop_assert!(masked.chars().count() <= ANSWER_CHARS_MAX);
                prop_assert!(!masked.contains(|c: char| c.is_numeric() || c.is_control()));
            }
        }

        #[test]
        fn masked_json_stays_as_it_is(
            answer in "([{}\\[\\]:,]|\"|\\\\|[a-c1-3 ]|null|'|<|>|#|@|Nov){0,60}",
        ) {
            let masked = mask(&answer);
            prop_assert_eq!(mask(&masked), masked, "{:?}", answer);
        }
    }

    #[test]
    fn masking_twice_is_masking_once_for_each_known_answer() {
        for (answer, _) in ANSWERS {
            let masked = mask(answer);
            assert_eq!(mask(&masked), masked, "{answer}");
        }
    }
}
