//! What differs from run to run in what a command prints: ids, times, durations, ports, widths.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

/// What names something, by which a page's name of it and this run's stand for each other.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    let files = r"dropped-\d{8}T\d{6}\.\d{3}Z\.jsonl|/[\w./-]*dead-letter-\w+\.json";
    Regex::new(&format!("{uuid}|{files}|{}", r"\b[0-9]{20}\b")).unwrap()
});

/// What takes the place of what differs, one after another.
static DIFFERS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (r"[0-9a-f]{8}-…", "ID…"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?Z?", "TIME"),
        (r"\d\d:\d\d UTC", "TIME"),
        (r"(\d+(\.\d+)? (d|h|min|s|ms)\b ?)+", "DURATION "),
        (r"_ms.:\d+", "_ms: N"),
        (r"attempt \d+", "attempt N"),
        (r"\d+(\.\d+)? MB", "N MB"),
        // What is free on a disk of any size.
        (r"\d+(\.\d+)? (GB|TB)", "N GB"),
        (r"engine \d+\.\d+\.\d+", "engine VERSION"),
        // Columns are as wide as what is in them.
        (r" {2,}", "  "),
        (r" +(\n|$)", "$1"),
    ];
    rules.into_iter().map(|(rule, mask)| (Regex::new(rule).unwrap(), mask)).collect()
});

/// The names of a text, in their order.
pub(crate) fn names(text: &str) -> Vec<&str> {
    NAME.find_iter(text).map(|found| found.as_str()).collect()
}

/// A text with other names.
pub(crate) fn renamed(text: &str, names: &BTreeMap<String, String>) -> String {
    let other = |found: &regex::Captures<'_>| {
        names.get(&found[0]).cloned().unwrap_or_else(|| found[0].to_owned())
    };
    NAME.replace_all(text, other).into_owned()
}

/// A text without what differs. What is the same name is the same number.
pub(crate) fn masked(text: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    let number = |found: &regex::Captures<'_>| {
        let known = seen.iter().position(|name| *name == found[0]);
        let number = known.unwrap_or_else(|| {
            seen.push(found[0].to_owned());
            seen.len() - 1
        });
        format!("NAME{number}")
    };
    let mut text = NAME.replace_all(text, number).into_owned();
    for (rule, mask) in DIFFERS.iter() {
        text = rule.replace_all(&text, *mask).into_owned();
    }
    text.trim_end().to_owned()
}

/// Whether what was printed is what is shown, in which a line `…` stands for any number of lines.
pub(crate) fn is_shown(printed: &str, shown: &str) -> bool {
    fn lines_match(printed: &[&str], shown: &[&str]) -> bool {
        match shown.split_first() {
            None => printed.is_empty(),
            Some((&"…", rest)) => {
                (0..=printed.len()).any(|from| lines_match(&printed[from..], rest))
            }
            Some((line, rest)) => printed
                .split_first()
                .is_some_and(|(first, more)| first == line && lines_match(more, rest)),
        }
    }
    let (printed, shown) = (masked(printed), masked(shown));
    lines_match(&printed.lines().collect::<Vec<_>>(), &shown.lines().collect::<Vec<_>>())
}

#[test]
fn what_is_shown_is_what_is_printed_but_for_what_differs() {
    let shown = "3 s ago  c9d89872-7074-4cd1-8123-b2ad320b0f1f at 2026-11-24 02:35:53\n…\nend";
    let printed = "2 min 1 s ago    00000000-7074-4cd1-8123-b2ad320b0f1f at 2027-01-01T02:35:53.123Z\na\nb\nend\n";
    assert!(is_shown(printed, shown));
    assert!(!is_shown(&printed.replace("end", "fin"), shown));
    assert!(!is_shown("1 event", "2 events"));
    for free in ["2.1 GB free", "12 GB free", "1.8 TB free"] {
        assert!(is_shown(free, "29 GB free"), "{free}");
    }
    let (one, other) =
        ("c9d89872-7074-4cd1-8123-b2ad320b0f1f", "d9d89872-7074-4cd1-8123-b2ad320b0f1f");
    assert!(!is_shown(&format!("{one} {one}"), &format!("{one} {other}")));
}
