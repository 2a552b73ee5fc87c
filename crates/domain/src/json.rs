//! What is wrong with JSON, without what was in it: a value of another type than expected may be a
//! secret, or a person's.

use std::fmt;

/// Why a text is not the JSON that it should be. Members are named, values that have the wrong type are
/// not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError(String);

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JsonError {}

impl From<&serde_json::Error> for JsonError {
    // Source of the form: serde, `de::Error::invalid_type` and `invalid_value`, and `Unexpected`.
    fn from(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        for problem in ["invalid type: ", "invalid value: "] {
            if let Some((found, expected)) =
                text.strip_prefix(problem).and_then(|rest| rest.rsplit_once(", expected "))
            {
                let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
                return Self(format!("{problem}{kind}, expected {expected}"));
            }
        }
        Self(text)
    }
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_value_of_another_type_is_not_shown() {
        let of = |value: Value| {
            JsonError::from(serde_json::from_value::<Vec<u8>>(value).unwrap_err()).to_string()
        };
        for (value, kind) in [
            (json!("planted \", expected `a\" sequence"), "string"),
            (json!("planted ` expected"), "string"),
            (json!(4711), "integer"),
            (json!(4711.5), "floating point"),
            (json!(true), "boolean"),
            (json!({ "planted": 1 }), "map"),
        ] {
            assert_eq!(of(value), format!("invalid type: {kind}, expected a sequence"));
        }
        assert_eq!(of(json!([4711])), "invalid value: integer, expected u8");
        let missing = serde_json::from_str::<Vec<u8>>("[1").unwrap_err();
        assert_eq!(JsonError::from(&missing).to_string(), missing.to_string());
    }
}
