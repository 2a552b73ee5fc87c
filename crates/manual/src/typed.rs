//! What documents and workflows say to type, so that a test can tell whether it would be understood.

/// Every call of `program` in a text, as arguments; of alternatives (`a|b`) each, of what may be left out
/// (`[--json]`) all, but for what a shell leaves out (`${…}`).
#[must_use]
pub fn commands(text: &str, program: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for rest in text.split(&format!("{program} ")).skip(1) {
        let line = rest.split(['\n', '`', '#', ';', '(', ')', '…']).next().unwrap_or_default();
        let end = [" | ", " > ", "${"].iter().filter_map(|end| line.find(end)).min();
        let line = &line[..end.unwrap_or(line.len())];
        let line = line.replace("\\|", "|").replace(['[', ']'], "");
        let Some(words) = shlex::split(line.trim()) else { continue };
        let mut lines = vec![Vec::new()];
        for word in words.iter().map(|word| word.trim_end_matches([',', '.', ':'])) {
            let alternatives = word.split('|').map(str::to_owned);
            let longer = |alternative: String| {
                lines.iter().map(move |line: &Vec<String>| {
                    line.iter().cloned().chain([alternative.clone()]).collect()
                })
            };
            lines = alternatives.flat_map(longer).collect();
        }
        found.extend(lines.into_iter().filter(|line| !line.is_empty()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_in_a_sentence_and_in_a_block() {
        let text = "Then `tool deploy dev`, or:\n\n```\ntool plan|check ENV [--json] # looks\n```";
        let found: Vec<String> =
            commands(text, "tool").iter().map(|words| words.join(" ")).collect();
        assert_eq!(found, ["deploy dev", "plan ENV --json", "check ENV --json"]);
    }
}
