//! Why somebody does something, as the audit log keeps it.

/// A line of text.
///
/// # Errors
///
/// When it says nothing, or has control characters: others read it on their terminals.
pub fn parse_why(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let is_readable = !text.is_empty() && !text.chars().any(char::is_control);
    is_readable.then(|| text.to_owned()).ok_or("say in a line why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_line() {
        assert_eq!(parse_why(" リリース 42 "), Ok("リリース 42".to_owned()));
        assert!(parse_why(" ").is_err());
        assert!(parse_why("a\u{1b}[2J").is_err());
    }
}
